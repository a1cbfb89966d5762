//! What statements take and give, the same on both engines.

use ::db::{Db, Error, Row, Value};
use uuid::Uuid;

use super::{INSERT, SCHEMA, add, id};
use crate::harness::each_engine;

/// Reads one row with a statement that takes three numbers.
async fn three(db: &Db, sql: &'static str, args: [i64; 3]) -> Result<Vec<i64>, Error> {
    db.read(args, move |tx, args| {
        Box::pin(async move {
            let all = |row: &Row<'_>| Ok(vec![row.get(0)?, row.get(1)?, row.get(2)?]);
            tx.one(sql, &args.map(Value::from), all).await
        })
    })
    .await
}

#[tokio::test]
async fn placeholders_are_bound_by_number() {
    each_engine(&[], async |database| {
        let db = database.open().await;
        let sql = "SELECT CAST($3 AS BIGINT), CAST($1 AS BIGINT), CAST($2 AS BIGINT) + CAST($1 AS BIGINT)";
        assert_eq!(three(&db, sql, [1, 20, 300]).await.unwrap(), [300, 1, 21]);
    })
    .await;
}

#[tokio::test]
async fn a_wrong_number_of_arguments_is_refused() {
    each_engine(&[], async |database| {
        let db = database.open().await;
        for sql in [
            "SELECT CAST($1 AS BIGINT), CAST($2 AS BIGINT), 3",
            "SELECT CAST($1 AS BIGINT) + CAST($4 AS BIGINT), CAST($2 AS BIGINT), CAST($3 AS BIGINT)",
        ] {
            let refused = three(&db, sql, [1, 2, 3]).await;
            assert!(matches!(refused, Err(Error::Internal(_))), "{refused:?}");
        }
    })
    .await;
}

type Everything = (Uuid, String, i64, Option<bool>, Option<Vec<u8>>, Option<String>);

async fn store(db: &Db, item: Everything) -> Result<Everything, Error> {
    db.write(item, |tx, (id, name, quantity, active, picture, note)| {
        Box::pin(async move {
            let args = [
                Value::from(*id),
                name.into(),
                (*quantity).into(),
                (*active).into(),
                picture.as_ref().into(),
                note.as_deref().into(),
            ];
            let insert = "INSERT INTO items (id, name, quantity, active, picture, note) VALUES ($1, $2, $3, $4, $5, $6)";
            tx.execute(insert, &args).await?;
            let select = "SELECT id, name, quantity, active, picture, note FROM items WHERE id = $1";
            tx.one(select, &[(*id).into()], everything).await
        })
    })
    .await
}

fn everything(row: &Row<'_>) -> Result<Everything, Error> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
}

#[tokio::test]
async fn every_type_comes_back_as_it_went_in() {
    each_engine(SCHEMA, async |database| {
        let db = database.open().await;
        let full = (
            Uuid::from_u128(u128::MAX - 7),
            "naïve ☕ 'quoted' \"x\"; --".to_owned(),
            i64::MAX,
            Some(true),
            Some(vec![0, 255, 1, 0]),
            Some(String::new()),
        );
        assert_eq!(store(&db, full.clone()).await.unwrap(), full);
        let empty = (Uuid::nil(), "é".to_owned(), i64::from(i32::MAX) + 1, None, None, None);
        assert_eq!(store(&db, empty.clone()).await.unwrap(), empty);
        let other = (id(3), "x".to_owned(), 0, Some(false), Some(Vec::new()), None);
        assert_eq!(store(&db, other.clone()).await.unwrap(), other);
    })
    .await;
}

type Read = fn(&Row<'_>) -> Result<(), Error>;

#[tokio::test]
async fn a_column_is_read_as_its_own_type_only() {
    each_engine(SCHEMA, async |database| {
        let db = database.open().await;
        add(&db, 5).await.unwrap();
        let wrong: [Read; 5] = [
            |row| row.get::<i64>(0).map(drop),
            |row| row.get::<i64>(1).map(drop),
            |row| row.get::<String>(2).map(drop),
            |row| row.get::<bool>(3).map(drop),
            |row| row.get::<i64>(4).map(drop),
        ];
        for read in wrong {
            let refused: Result<(), Error> = db
                .read(read, |tx, read| {
                    Box::pin(tx.one("SELECT id, name, quantity, active FROM items", &[], *read))
                })
                .await;
            assert!(matches!(refused, Err(Error::Internal(_))), "{refused:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn text_is_ordered_byte_by_byte() {
    each_engine(SCHEMA, async |database| {
        let db = database.open().await;
        let ordered: Result<Vec<String>, Error> = db
            .write(["b", "a", "B", "é", "Z", "_", "a-b", "ab"], |tx, names| {
                Box::pin(async move {
                    for (number, name) in (1..).zip(names) {
                        tx.execute(INSERT, &[id(number).into(), (*name).into(), number.into()]).await?;
                    }
                    let sql = "SELECT name FROM items WHERE name > $1 ORDER BY name";
                    tx.rows(sql, &["A".into()], |row| row.get(0)).await
                })
            })
            .await;
        assert_eq!(ordered.unwrap(), ["B", "Z", "_", "a", "a-b", "ab", "b", "é"]);
    })
    .await;
}

#[tokio::test]
async fn a_change_can_answer_with_rows() {
    each_engine(SCHEMA, async |database| {
        let db = database.open().await;
        for number in 1..=3 {
            add(&db, number).await.unwrap();
        }
        let changed: Result<_, Error> = db
            .write((), |tx, ()| {
                Box::pin(async move {
                    let tenfold = "UPDATE items SET quantity = quantity * 10 WHERE quantity > $1";
                    assert_eq!(tx.execute(tenfold, &[1.into()]).await?, 2);
                    let gone = "DELETE FROM items WHERE quantity >= $1 RETURNING id, quantity";
                    tx.rows(gone, &[10.into()], |row| Ok((row.get::<Uuid>(0)?, row.get::<i64>(1)?))).await
                })
            })
            .await;
        let mut changed = changed.unwrap();
        changed.sort();
        assert_eq!(changed, [(id(2), 20), (id(3), 30)]);
    })
    .await;
}

#[tokio::test]
async fn a_conflict_can_be_an_update() {
    const UPSERT: &str = "INSERT INTO items (id, name, quantity) VALUES ($1, $2, $3)
        ON CONFLICT (name) DO UPDATE SET quantity = items.quantity + excluded.quantity RETURNING quantity";
    each_engine(SCHEMA, async |database| {
        let db = database.open().await;
        let quantities: Result<(i64, i64, u64), Error> = db
            .write((), |tx, ()| {
                Box::pin(async move {
                    let args = |number: i64| [id(number).into(), "same".into(), 5.into()];
                    let first = tx.one(UPSERT, &args(1), |row| row.get(0)).await?;
                    let second = tx.one(UPSERT, &args(2), |row| row.get(0)).await?;
                    let nothing = format!("{INSERT} ON CONFLICT DO NOTHING");
                    Ok((first, second, tx.execute(&nothing, &args(3)).await?))
                })
            })
            .await;
        assert_eq!(quantities.unwrap(), (5, 10, 0));
    })
    .await;
}

#[tokio::test]
async fn pages_are_cut_by_row_values() {
    const PAGE: &str =
        "SELECT room, number FROM shelves WHERE (room, number) > ($1, $2) ORDER BY room, number LIMIT $3";
    each_engine(SCHEMA, async |database| {
        let db = database.open().await;
        let page: Result<Vec<(String, i64)>, Error> = db
            .write((), |tx, ()| {
                Box::pin(async move {
                    let insert = "INSERT INTO shelves (room, number) VALUES ($1, $2)";
                    for room in ["a", "b", "c"] {
                        let args = |number: i64| [Value::from(room), number.into()];
                        let (one, two) = (args(1), args(2));
                        assert_eq!(tx.all(&[(insert, &one), (insert, &two)]).await?, [1, 1]);
                    }
                    tx.rows(PAGE, &["a".into(), 1.into(), 3.into()], |row| Ok((row.get(0)?, row.get(1)?)))
                        .await
                })
            })
            .await;
        assert_eq!(page.unwrap(), [("a".to_owned(), 2), ("b".to_owned(), 1), ("b".to_owned(), 2)]);
    })
    .await;
}

#[tokio::test]
async fn many_statements_at_once_answer_in_order() {
    each_engine(SCHEMA, async |database| {
        let db = database.open().await;
        let counts: Result<Vec<u64>, Error> = db
            .write((), |tx, ()| {
                Box::pin(async move {
                    let names: Vec<String> = (0..100).map(|number| number.to_string()).collect();
                    let add: Vec<[Value<'_>; 3]> = (0..)
                        .zip(&names)
                        .map(|(number, name)| [id(number).into(), name.into(), number.into()])
                        .collect();
                    let below: Vec<[Value<'_>; 1]> = (0..100).map(|number| [Value::Int(number)]).collect();
                    let adding: Vec<(&str, &[Value<'_>])> =
                        add.iter().map(|args| (INSERT, &args[..])).collect();
                    tx.all(&adding).await?;
                    let lower = "UPDATE items SET active = FALSE WHERE quantity < $1";
                    let lowering: Vec<(&str, &[Value<'_>])> =
                        below.iter().map(|args| (lower, &args[..])).collect();
                    tx.all(&lowering).await
                })
            })
            .await;
        assert_eq!(counts.unwrap(), (0..100).collect::<Vec<u64>>());
    })
    .await;
}

#[tokio::test]
async fn one_row_means_one_row() {
    each_engine(SCHEMA, async |database| {
        let db = database.open().await;
        let count = |wanted: &'static str| {
            let db = db.clone();
            async move {
                let found: Result<Option<i64>, Error> = db
                    .read(wanted, |tx, wanted| {
                        Box::pin(async move {
                            let sql = "SELECT quantity FROM items WHERE name <= $1";
                            tx.optional(sql, &[(*wanted).into()], |row| row.get(0)).await
                        })
                    })
                    .await;
                found
            }
        };
        assert_eq!(count("9").await, Ok(None));
        add(&db, 1).await.unwrap();
        assert_eq!(count("9").await, Ok(Some(1)));
        add(&db, 2).await.unwrap();
        assert!(matches!(count("9").await, Err(Error::Internal(_))));
    })
    .await;
}

#[tokio::test]
async fn a_lookup_may_borrow() {
    each_engine(SCHEMA, async |database| {
        let db = database.open().await;
        add(&db, 1).await.unwrap();
        let (name, other) = (String::from("1"), String::from("kept"));
        let found: Result<_, Error> = db
            .lookup((name.as_str(), &other), |tx, (name, other)| {
                Box::pin(async move {
                    let sql = "SELECT quantity FROM items WHERE name = $1";
                    let quantity: i64 = tx.one(sql, &[(*name).into()], |row| row.get(0)).await?;
                    Ok((quantity, other.as_str()))
                })
            })
            .await;
        assert_eq!(found, Ok((1, "kept")));
    })
    .await;
}
