//! Accounts and sessions written straight into the database, and tokens for them: a thousand logins would take longer
//! than what they are for.

use std::path::Path;

use anyhow::{Result, anyhow};
use kit::clock::{Clock, new_id};
use kit::identity::Role;
use kit::secret::Secret;
use kit::token::Tokens;
use rusqlite::{Connection, params};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::site::JWT_SECRET;

/// Somebody with a session.
pub(crate) struct Person {
    pub(crate) id: Uuid,
    role: Role,
    session: Uuid,
}

impl Person {
    /// An account with a session that exists nowhere: for a gateway that has no database to ask.
    pub(crate) fn new(role: Role) -> Self {
        Self { id: new_id(), role, session: new_id() }
    }

    fn email(&self) -> String {
        format!("{}@example.com", self.id.simple())
    }

    /// A token, good for 15 minutes.
    pub(crate) fn token(&self) -> Result<String> {
        let tokens = Tokens::new(&Secret::new(JWT_SECRET), Clock::default());
        let signed = tokens.sign(self.id, &self.email(), self.role, self.session);
        signed.map(|token| token.expose().to_owned()).map_err(|problem| anyhow!("no token: {problem:?}"))
    }
}

const ACCOUNT: &str =
    "INSERT INTO accounts (id, email, email_key, username, username_key, role, preferences, disabled, search,
                                             created_at, updated_at, version)
                       VALUES ($1, $2, $2, $2, $2, $3, '{}', FALSE, '', $4, $4, 1)";
const SESSION: &str =
    "INSERT INTO sessions (id, account_id, generation, rotated_at, created_at, last_used_at)
                       VALUES ($1, $2, 1, $3, $3, $3)";

/// Gives each an account and a session in this file.
pub(crate) fn settle_sqlite(database: &Path, people: &[Person]) -> Result<()> {
    let mut connection = Connection::open(database)?;
    let transaction = connection.transaction()?;
    for person in people {
        let (id, session, now) = (person.id.as_bytes(), person.session.as_bytes(), Clock::default().now().0);
        let account = params![id, person.email(), person.role.as_str(), now];
        transaction.prepare_cached(ACCOUNT)?.execute(account)?;
        transaction.prepare_cached(SESSION)?.execute(params![session, id, now])?;
    }
    Ok(transaction.commit()?)
}

/// The same on PostgreSQL.
pub(crate) async fn settle_postgres(client: &Client, people: &[Person]) -> Result<()> {
    for person in people {
        let now = Clock::default().now().0;
        client.execute(ACCOUNT, &[&person.id, &person.email(), &person.role.as_str(), &now]).await?;
        client.execute(SESSION, &[&person.session, &person.id, &now]).await?;
    }
    Ok(())
}
