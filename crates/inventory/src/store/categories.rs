//! Statements on categories.

use db::{Error, Row, Tx};
use kit::page::{Conditions, Key, PageRequest, Position};
use uuid::Uuid;

use crate::model::Category;
use crate::store::paged;
use crate::view::CategoryView;

/// The category of this name, or of this id.
pub(crate) async fn find_category(tx: &Tx, named: &str) -> Result<Option<Category>, Error> {
    let key = named.to_lowercase();
    let (column, value) = match Uuid::try_parse(named) {
        Ok(id) => ("id", id.into()),
        Err(_) => ("name_key", (&key).into()),
    };
    let sql = format!("SELECT id, name FROM categories WHERE {column} = $1");
    tx.optional(&sql, &[value], |row| Ok(Category { id: row.get(0)?, name: row.get(1)? })).await
}

/// Stores a new category.
pub(crate) async fn insert_category(tx: &Tx, category: &CategoryView) -> Result<(), Error> {
    let sql = "INSERT INTO categories (id, name, name_key, created_at) VALUES ($1, $2, $3, $4)";
    let key = category.name.to_lowercase();
    let args = [category.id.into(), (&category.name).into(), (&key).into(), category.created_at.0.into()];
    tx.execute(sql, &args).await.map(drop)
}

/// A page of categories.
pub(crate) async fn list_categories(
    tx: &Tx,
    page: &PageRequest,
) -> Result<(Vec<CategoryView>, Option<i64>), Error> {
    let mut conditions = Conditions::new();
    let paged = paged(tx, "id, name, created_at", "categories", &mut conditions, page).await?;
    let read =
        |row: &Row<'_>| Ok(CategoryView { id: row.get(0)?, name: row.get(1)?, created_at: row.get(2)? });
    Ok((tx.rows(&paged.sql, conditions.args(), read).await?, paged.total))
}

/// Where a category stands in a list sorted by `sort`.
pub(crate) fn category_position(category: &CategoryView, sort: &str) -> Position {
    let key = match sort {
        "name_key" => Key::Text(category.name.to_lowercase()),
        _ => Key::Int(category.created_at.0),
    };
    Position { key, id: category.id }
}
