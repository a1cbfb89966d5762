//! API keys, for admins; no key may do anything here.

use std::sync::Arc;

use accounts::{StoredKey, add_key, revoke_key, store};
use axum::extract::State;
use futures_util::FutureExt;
use kit::answer::{Answer, Created, NoContent, Resource};
use kit::api_key;
use kit::author::Author;
use kit::body::Body;
use kit::clock::new_id;
use kit::endpoint::Endpoints;
use kit::endpoint::Verb::{Delete, Get, Post};
use kit::identity::Caller;
use kit::openapi::{Problems, op};
use kit::page::{List, Page};
use kit::permission::ADMIN;
use kit::problem::Problem;
use kit::query::{NoQuery, PathId};

use crate::Auth;
use crate::key_model::{CreateKey, KeyFilter, KeyView};

// What only the handler knows may go wrong; the rest comes from its types.
const CREATE: Problems = &[(409, "There are as many as there may be.")];

pub(super) fn endpoints() -> Endpoints<Auth> {
    Endpoints::new()
        .on(Get, "/auth/keys", ADMIN, key_list, op("key_list", "List API keys", &[]))
        .on(Post, "/auth/keys", ADMIN, key_create, op("key_create", "Make an API key", CREATE))
        .on(Get, "/auth/keys/{id}", ADMIN.hidden(), key_view, op("key_view", "See an API key", &[]))
        .on(Delete, "/auth/keys/{id}", ADMIN.hidden(), key_delete, op("key_delete", "Revoke an API key", &[]))
}

async fn key_list(State(auth): State<Arc<Auth>>, list: List<KeyFilter>) -> Result<Page<KeyView>, Problem> {
    let page = list.page.clone();
    let found = auth.shared.db.read(list.page, |tx, page| store::list_keys(tx, page).boxed());
    let (found, total) = found.await?;
    Ok(page.page(&auth.shared, found, total, store::key_position, KeyView::from))
}

async fn key_create(
    caller: Caller,
    State(auth): State<Arc<Auth>>,
    author: Author,
    body: Body<CreateKey>,
) -> Result<Created<KeyView>, Problem> {
    let (new, now) = (body.parse()?, author.now);
    auth.check_scopes(&new.scopes)?;
    let (secret, hash) = api_key::generate().map_err(Problem::internal)?;
    let stored = StoredKey {
        id: new_id(),
        account_id: caller.account(),
        name: new.name.as_str().to_owned(),
        expires_at: new.expires_at(now)?,
        scopes: new.scopes,
        created_at: now,
        last_used_at: None,
    };
    let input = (stored.clone(), hash, author);
    let write =
        auth.shared.db.write(input, |tx, (stored, hash, author)| add_key(tx, stored, hash, author).boxed());
    write.await?;
    let path = format!("/auth/keys/{}", stored.id);
    Ok(Answer::new(&KeyView::with_secret(stored, &secret))?.location(path))
}

async fn key_view(
    State(auth): State<Arc<Auth>>,
    PathId(id): PathId,
    _: NoQuery,
) -> Result<Resource<KeyView>, Problem> {
    let found = auth.shared.db.lookup(id, |tx, id| store::find_key(tx, *id).boxed()).await?;
    Answer::new(&KeyView::from(found.ok_or_else(Problem::not_found)?))
}

async fn key_delete(
    State(auth): State<Arc<Auth>>,
    PathId(id): PathId,
    author: Author,
    _: NoQuery,
) -> Result<NoContent, Problem> {
    let input = (id, auth.accounts.live.clone(), author);
    auth.shared.db.write(input, |tx, (id, live, author)| revoke_key(tx, live, *id, author).boxed()).await?;
    Ok(NoContent)
}
