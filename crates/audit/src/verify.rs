//! Does the chain hold? Each entry's hash is computed again, from the one that is remembered before the first to the one that is remembered as the last.

use std::fmt;
use std::str::FromStr;

use db::{Error, Tx};
use uuid::Uuid;

use crate::chain;
use crate::personal::hash_of;
use crate::store::{self, Head, Kept, Linked};

/// How many entries are read at once.
const AT_ONCE: i64 = 1_000;

/// An entry that somebody noted outside: its number and hash. Who can change the whole database could compute a whole other chain, which only such a
/// note shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    number: i64,
    hash: String,
}

impl FromStr for Anchor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = || "must be NUMBER:HASH, as `storehouse verify` shows it".to_owned();
        let (number, hash) = text.split_once(':').ok_or_else(wanted)?;
        let number = number.parse().map_err(|_| wanted())?;
        let is_hash = hash.len() == 64 && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if is_hash { Ok(Self { number, hash: hash.to_owned() }) } else { Err(wanted()) }
    }
}

/// What was looked at, and what doesn't hold.
#[derive(Clone, Debug, Default)]
pub struct AuditFound {
    /// How many entries the chain has.
    pub entries: u64,
    /// The last entry: its number, and its hash in hexadecimal.
    pub head: (i64, String),
    /// How many are not sealed yet.
    pub unsealed: i64,
    /// The first that doesn't hold, each a sentence.
    pub faults: Vec<String>,
}

impl fmt::Display for AuditFound {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { entries, head: (number, hash), unsealed, .. } = self;
        write!(
            formatter,
            "Audit entries: {entries}, sealed up to {number}:{hash}, not sealed yet: {unsealed}."
        )
    }
}

/// Computes the chain anew, in the snapshot of the transaction. `progress` hears how many entries were looked at.
pub async fn verify(
    tx: &Tx,
    anchor: Option<&Anchor>,
    mut progress: impl FnMut(u64) + Send,
) -> Result<AuditFound, Error> {
    let mut found = AuditFound { unsealed: store::count_unsealed(tx).await?, ..AuditFound::default() };
    let Some(head) = store::find_head(tx).await? else {
        found.faults.push(
            "audit: the row that remembers the ends of the chain is missing, or there are several".to_owned(),
        );
        return Ok(found);
    };
    found.head = (head.number, hex(&head.hash));
    let mut link = Link { number: head.swept_number, hash: head.swept_hash.clone(), is_anchored: false };
    link.anchor(anchor);
    loop {
        let page = store::list_chain(tx, link.number, AT_ONCE).await?;
        let count = page.len() as i64;
        for linked in page {
            if let Err(fault) = link.follow(&linked, &head) {
                found.faults.push(fault);
                return Ok(found);
            }
            found.entries += 1;
            link.anchor(anchor);
        }
        progress(found.entries);
        if count < AT_ONCE {
            break;
        }
    }
    found.faults.extend(link.end(&head).err());
    found.faults.extend(anchor.filter(|_| !link.is_anchored).map(|anchor| {
        format!(
            "audit: no entry {} has the hash {}: this is another chain than the one that was noted",
            anchor.number, anchor.hash
        )
    }));
    Ok(found)
}

/// How far the chain was followed.
struct Link {
    number: i64,
    hash: Vec<u8>,
    is_anchored: bool,
}

impl Link {
    fn anchor(&mut self, anchor: Option<&Anchor>) {
        self.is_anchored |=
            anchor.is_some_and(|anchor| anchor.number == self.number && anchor.hash == hex(&self.hash));
    }

    /// Goes on to the next entry, or says what is wrong with it.
    fn follow(&mut self, linked: &Linked, head: &Head) -> Result<(), String> {
        let (sealed, next) = (&linked.sealed, self.number + 1);
        if next > head.number {
            return Err(format!(
                "audit: entry {} stands behind the last one, {}",
                sealed.number, head.number
            ));
        }
        if sealed.number != next {
            return Err(format!("audit: entry {next} is missing"));
        }
        let hash = chain::hash(&self.hash, next, &sealed.row, sealed.sealed_at);
        if hash != sealed.hash {
            return Err(format!(
                "audit: entry {next} ({}) was changed, or what stood before it",
                sealed.row.action
            ));
        }
        let row = &sealed.row;
        for (kept, known, owner, whose) in [
            (&linked.of_actor, &row.actor_hash, row.actor_id.or(row.object_id), "actor's"),
            (&linked.of_object, &row.object_hash, row.object_id, "object's"),
        ] {
            if let Some(fault) = fault(kept, known.as_ref(), owner) {
                return Err(format!("audit: the {whose} personal data of entry {next} {fault}"));
            }
        }
        (self.number, self.hash) = (next, hash);
        Ok(())
    }

    /// Whether it ends where it should.
    fn end(&self, head: &Head) -> Result<(), String> {
        if self.number < head.number {
            return Err(format!("audit: entry {} is missing, and all behind it", self.number + 1));
        }
        if self.hash != head.hash {
            return Err(format!(
                "audit: the hash that is remembered of the last entry, {}, is another",
                self.number
            ));
        }
        Ok(())
    }
}

/// What is wrong with a personal value of which the chain knows this hash: it goes with its owner's account and not before, and without an owner with its entry.
fn fault(kept: &Kept, known: Option<&Vec<u8>>, owner: Option<Uuid>) -> Option<&'static str> {
    let Some((salt, value)) = &kept.value else {
        let must_be_there = known.is_some() && (owner.is_none() || kept.owner.is_some());
        return must_be_there.then_some("is missing");
    };
    if known != Some(&hash_of(salt, value)) {
        return Some("was changed");
    }
    let is_anothers = kept.account_id.is_some_and(|account| owner != Some(account));
    is_anothers.then_some("was made another account's")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_anchor_is_read_as_verify_shows_it() {
        let hash = "0f".repeat(32);
        let anchor: Anchor = format!("17:{hash}").parse().unwrap();
        assert_eq!(anchor, Anchor { number: 17, hash: hash.clone() });
        let bad = [
            "",
            "17",
            ":",
            &format!("x:{hash}"),
            &format!("17:{}", &hash[1..]),
            &format!("17:{}", hash.to_uppercase()),
        ];
        assert!(bad.iter().all(|text| text.parse::<Anchor>().is_err()));
    }
}
