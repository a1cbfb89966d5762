//! What a mail says, made when it is sent.

use db::{Error, Tx};
use kit::clock::Timestamp;
use kit::mail::{Address, Letter};
use kit::text::is_visible;
use tracing::warn;

use crate::account_mails::{self, Notice};
use crate::kind::Kind;
use crate::low_stock::MOST_PRODUCTS;
use crate::public_url::PublicUrl;
use crate::store::{self, Claimed, Holder, LowProduct};
use crate::token::{Purpose, mint};

/// How much of a name a mail shows.
const MOST_OF_NAME: usize = 100;

/// What a mail says, a secret perhaps, so that only a test may show it.
#[cfg_attr(test, derive(Debug, PartialEq, Eq))]
pub(crate) struct Content {
    pub(crate) subject: String,
    pub(crate) text: String,
}

/// A mail and where it goes.
type Written = Option<(String, Content)>;

/// The mail as it is now; none if there is nothing to tell any more, or nobody to tell it to.
pub(crate) async fn compose(
    tx: &Tx,
    claimed: &Claimed,
    public_url: Option<&PublicUrl>,
    now: Timestamp,
) -> Result<Option<Letter>, Error> {
    let Some((to, content)) = write(tx, claimed, public_url, now).await? else { return Ok(None) };
    let Ok(to) = to.parse::<Address>() else {
        warn!(mail = %claimed.id, kind = claimed.kind.as_str(), "a mail was given up, since nothing can be sent to its address");
        return Ok(None);
    };
    Ok(Some(Letter { id: claimed.id, to, subject: content.subject, text: content.text, date: now }))
}

async fn write(
    tx: &Tx,
    claimed: &Claimed,
    public_url: Option<&PublicUrl>,
    now: Timestamp,
) -> Result<Written, Error> {
    let notice = match claimed.kind {
        Kind::LowStock => {
            let content = low_stock(&store::list_products(tx, &claimed.subjects).await?);
            return Ok(claimed.recipient.clone().zip(content));
        }
        Kind::VerifyEmail => return write_verification(tx, claimed, public_url, now).await,
        Kind::ResetPassword => return write_reset(tx, claimed, public_url, now).await,
        Kind::PasswordChanged => Notice::Password,
        Kind::EmailChanged => Notice::Email,
        Kind::SecondFactorChanged => Notice::SecondFactor,
        Kind::ApiKeyMade => Notice::ApiKey,
    };
    let Some(holder) = find_holder(tx, claimed).await? else { return Ok(None) };
    let content = account_mails::notice(notice, &holder.username, claimed.created_at);
    Ok(Some((claimed.recipient.clone().unwrap_or(holder.proof.email), content)))
}

async fn write_verification(
    tx: &Tx,
    claimed: &Claimed,
    public_url: Option<&PublicUrl>,
    now: Timestamp,
) -> Result<Written, Error> {
    let holder = find_holder(tx, claimed).await?;
    let Some(holder) = holder.filter(|holder| !holder.is_disabled && !holder.is_verified) else {
        return Ok(None);
    };
    let token = mint(tx, Purpose::VerifyEmail, &holder.proof, now).await?;
    Ok(Some((holder.proof.email, account_mails::verify_email(&holder.username, &token, public_url))))
}

/// It goes to the address that is stored, not to what was typed, which may only look like it.
async fn write_reset(
    tx: &Tx,
    claimed: &Claimed,
    public_url: Option<&PublicUrl>,
    now: Timestamp,
) -> Result<Written, Error> {
    let holder = store::find_holder_by_key(tx, claimed.recipient.as_deref().unwrap_or_default()).await?;
    let Some(holder) = holder.filter(|holder| !holder.is_disabled) else { return Ok(None) };
    let token = mint(tx, Purpose::ResetPassword, &holder.proof, now).await?;
    Ok(Some((holder.proof.email, account_mails::reset_password(&holder.username, &token, public_url))))
}

async fn find_holder(tx: &Tx, claimed: &Claimed) -> Result<Option<Holder>, Error> {
    match claimed.account {
        Some(account) => store::find_holder(tx, account).await,
        None => Ok(None),
    }
}

fn low_stock(products: &[LowProduct]) -> Option<Content> {
    let first = products.first()?;
    let subject = match products.len() {
        1 => format!("Low stock: {}", one_line(&first.sku)),
        count => format!("Low stock: {count} products"),
    };
    let lines: String = products.iter().map(low_line).collect();
    let more = if products.len() < MOST_PRODUCTS { "" } else { "There may be more than these.\n" };
    let text = format!(
        "These products have fallen to their reorder point:\n\n{lines}\n{more}All that should be bought now: GET /stock/reorder\n"
    );
    Some(Content { subject, text })
}

fn low_line(product: &LowProduct) -> String {
    let mut line =
        format!("{}  {}\n    {} free", one_line(&product.sku), one_line(&product.name), product.free);
    if let Some(point) = product.reorder_point {
        line += &format!(", reorder point {point}");
    }
    if let Some(quantity) = product.reorder_quantity {
        line += &format!(", reorder quantity {quantity}");
    }
    line + "\n"
}

/// A name as one line of plain text: what doesn't show, line breaks and directions of writing among it, is a blank.
pub(crate) fn one_line(name: &str) -> String {
    let visible = name.chars().map(|character| if is_visible(character) { character } else { ' ' });
    let visible: String = visible.take(MOST_OF_NAME).collect();
    visible.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(sku: &str, name: &str) -> LowProduct {
        LowProduct {
            sku: sku.to_owned(),
            name: name.to_owned(),
            free: 4,
            reorder_point: Some(5),
            reorder_quantity: Some(20),
        }
    }

    #[test]
    fn a_mail_about_low_stock_names_the_products() {
        let content = low_stock(&[product("LAMP", "Lamp"), product("PEN", "Pen")]).unwrap();
        assert_eq!(content.subject, "Low stock: 2 products");
        let wanted = "These products have fallen to their reorder point:

LAMP  Lamp
    4 free, reorder point 5, reorder quantity 20
PEN  Pen
    4 free, reorder point 5, reorder quantity 20

All that should be bought now: GET /stock/reorder
";
        assert_eq!(content.text, wanted);
        assert_eq!(low_stock(&[product("LAMP", "Lamp")]).unwrap().subject, "Low stock: LAMP");
        assert_eq!(low_stock(&[]), None);
        let many = vec![product("LAMP", "Lamp"); MOST_PRODUCTS];
        assert!(low_stock(&many).unwrap().text.contains("There may be more"));
    }

    #[test]
    fn a_name_stays_on_its_line() {
        let hostile = product("S\r\nBcc: eve@example.com", "a\n\nb\u{202e}c\u{2028}d\0");
        let content = low_stock(&[hostile]).unwrap();
        assert_eq!(content.subject, "Low stock: S  Bcc: eve@example.com");
        assert!(content.text.contains("S  Bcc: eve@example.com  a  b c d\n    4 free"), "{}", content.text);
        assert_eq!(one_line(&"ä".repeat(300)).chars().count(), MOST_OF_NAME);
    }
}
