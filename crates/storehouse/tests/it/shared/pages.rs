//! Lists in pages.

use std::time::Duration;

use serde_json::Value;

use super::order;
use crate::harness::{App, Client, Random, each_app};

const ROWS: i64 = 300;

#[tokio::test]
async fn pages_put_together_are_the_whole_list_while_rows_arrive() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        let mut random = Random::new();
        fill(app, &staff, &mut random).await;
        for sort in ["created_at", "total_price", "number"] {
            for direction in ["", "-"] {
                for limit in [1, 7, 200] {
                    check_pages(
                        &staff,
                        &format!("sort={direction}{sort}&limit={limit}"),
                        sort,
                        direction == "-",
                    )
                    .await;
                }
            }
        }
    })
    .await;
}

async fn fill(app: &App, staff: &Client<'_>, random: &mut Random) {
    for _ in 0..ROWS {
        app.clock.advance(Duration::from_millis(random.next() % 3));
        staff.post("/orders", order(random.between(0, 20))).await.expect(201);
    }
}

/// Walks by `Link`, places an order between pages, and compares with the whole list, sorted here.
async fn check_pages(staff: &Client<'_>, query: &str, sort: &str, descending: bool) {
    let mut expected = whole(staff).await;
    sort_by(&mut expected, sort, descending);
    let (mut walked, mut inserted) = (Vec::<Value>::new(), 0);
    let mut next = Some(format!("/orders?{query}"));
    while let Some(address) = next {
        let answer = staff.get(&address).await.expect(200);
        let page = answer.json();
        walked.extend(page["items"].as_array().unwrap().iter().cloned());
        next = next_link(answer.header("link"));
        assert_eq!(next.is_some(), page["next_cursor"].is_string());
        if inserted < 5 {
            inserted += 1;
            staff.post("/orders", order(5)).await.expect(201);
        }
    }
    let known: Vec<&Value> = expected.iter().map(|row| &row["id"]).collect();
    let walked: Vec<&Value> = walked.iter().map(|row| &row["id"]).collect();
    let mut once = walked.iter().map(|id| id.as_str().unwrap()).collect::<Vec<_>>();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), walked.len(), "{query}: repeats");
    let old: Vec<&Value> = walked.into_iter().filter(|id| known.contains(id)).collect();
    assert_eq!(old, known, "{query}");
}

async fn whole(staff: &Client<'_>) -> Vec<Value> {
    let mut rows = Vec::new();
    let mut next = Some("/orders?limit=200".to_owned());
    while let Some(address) = next {
        let answer = staff.get(&address).await.expect(200);
        rows.extend(answer.json()["items"].as_array().unwrap().iter().cloned());
        next = next_link(answer.header("link"));
    }
    rows
}

fn sort_by(rows: &mut [Value], field: &str, descending: bool) {
    rows.sort_by(|one, other| {
        let key = |row: &Value| {
            (
                row[field].as_f64(),
                row[field].as_str().map(str::to_owned),
                row["id"].as_str().unwrap().to_owned(),
            )
        };
        key(one).partial_cmp(&key(other)).unwrap()
    });
    if descending {
        rows.reverse();
    }
}

/// The address in `Link: <address>; rel="next"`.
fn next_link(header: &str) -> Option<String> {
    if header.is_empty() {
        return None;
    }
    let address = header.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap();
    assert!(address.starts_with('/'), "{header}");
    Some(address.to_owned())
}

#[tokio::test]
async fn a_cursor_is_bound_to_its_list() {
    each_app(async |app| {
        let (ada, bob, staff) =
            (app.customer("ada").await, app.customer("bob").await, app.staff("staff").await);
        for total in 0..5 {
            ada.post("/orders", order(total)).await.expect(201);
        }
        let list = format!("/orders?user_id={}&sort=number&limit=2", ada.id);
        let cursor = ada.get(&list).await.expect(200).json()["next_cursor"].as_str().unwrap().to_owned();
        let same = format!("/orders?limit=3&count=exact&sort=number&user_id={}&cursor={cursor}", ada.id);
        assert_eq!(ada.get(&same).await.expect(200).json()["items"].as_array().unwrap().len(), 3);
        let refused = async |client: &Client<'_>, address: String| {
            client.get(&address).await.problem(400, "invalid_cursor");
        };
        for client in [&bob, &staff] {
            refused(client, format!("{list}&cursor={cursor}")).await;
        }
        for address in [
            format!("/orders?user_id={}&sort=-number&cursor={cursor}", ada.id),
            format!("/orders?user_id={}&cursor={cursor}", ada.id),
            format!("/orders?sort=number&cursor={cursor}"),
            format!("/orders?user_id={}&sort=number&status=pending&cursor={cursor}", ada.id),
            format!("/orders/user/{}?sort=number&cursor={cursor}", ada.id),
            format!("{list}&cursor={cursor}A"),
            format!("{list}&cursor={}", &cursor[1..]),
            format!("{list}&cursor="),
            format!("{list}&cursor=AAAA"),
        ] {
            refused(&ada, address).await;
        }
        ada.get(&format!("{list}&cursor={cursor}&cursor={cursor}")).await.expect(400);
    })
    .await;
}

#[tokio::test]
async fn a_total_is_counted_when_asked_for() {
    each_app(async |app| {
        let (ada, staff) = (app.customer("ada").await, app.staff("staff").await);
        for total in 0..5 {
            ada.post("/orders", order(total)).await.expect(201);
        }
        staff.post("/orders", order(1)).await.expect(201);
        assert!(ada.get("/orders").await.expect(200).json().get("total").is_none());
        for (client, query, total) in [(&ada, "", 5), (&staff, "", 6), (&staff, "&status=confirmed", 0)] {
            let page = client.get(&format!("/orders?count=exact&limit=2{query}")).await.expect(200).json();
            assert_eq!(page["total"], total);
            if let Some(cursor) = page["next_cursor"].as_str() {
                let second = client.get(&format!("/orders?count=exact&limit=2{query}&cursor={cursor}")).await;
                assert_eq!(second.expect(200).json()["total"], total, "of all pages");
            }
        }
        assert_eq!(ada.get("/auth/sessions?count=exact").await.expect(200).json()["total"], 1);
        assert_eq!(staff.get("/users?count=exact&q=ada").await.expect(200).json()["total"], 1);
    })
    .await;
}

#[tokio::test]
async fn users_with_hostile_emails_are_paged_in_byte_order() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        let mut random = Random::new();
        for number in 0..60 {
            let letter = random.pick(&["a", "B", "Z", "b", "a-", "a_", "ab", "é", "0"]);
            app.customer(&format!("{letter}00{number}")).await;
        }
        for limit in [1, 7, 200] {
            let mut emails = Vec::new();
            let mut next = Some(format!("/users?sort=email&limit={limit}"));
            while let Some(address) = next {
                let answer = staff.get(&address).await.expect(200);
                emails.extend(
                    answer.json()["items"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|user| user["email"].as_str().unwrap().to_owned()),
                );
                next = next_link(answer.header("link"));
            }
            let mut sorted = emails.clone();
            sorted.sort();
            assert_eq!((emails.len(), emails), (61, sorted));
        }
    })
    .await;
}
