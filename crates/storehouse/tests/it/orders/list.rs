//! `GET /orders` and `GET /orders/user/{id}`, held against a plain list.

use std::time::Duration;

use serde_json::{Value, json};

use super::{laptop, path, place, step};
use crate::harness::goods::Goods;
use crate::harness::{App, Client, Random, each_app};

/// An order and whose it is; hidden ones are seen by staff alone.
struct Listed {
    order: Value,
    hidden: bool,
}

#[tokio::test]
async fn filters_find_what_a_plain_list_finds() {
    each_app(async |app| {
        let (ada, bob, staff) =
            (app.customer("ada").await, app.customer("bob").await, app.staff("staff").await);
        let mut random = Random::new();
        let all = fill(app, [&ada, &bob, &staff], &mut random).await;
        for _ in 0..150 {
            let (query, matches) = random_filter(&all, &ada, &bob, &mut random);
            for (client, is_staff) in [(&ada, false), (&bob, false), (&staff, true)] {
                let own = client.id.to_string();
                let is_seen =
                    |listed: &&Listed| is_staff || (listed.order["user_id"] == own && !listed.hidden);
                let mut expected: Vec<i64> = all
                    .iter()
                    .filter(is_seen)
                    .filter(|listed| matches(&listed.order))
                    .map(|listed| listed.order["number"].as_i64().unwrap())
                    .collect();
                expected.reverse();
                assert_eq!(numbers(client, &format!("/orders?{query}")).await, expected, "{query}");
            }
        }
        check_by_user(&all, &ada, &staff).await;
    })
    .await;
}

async fn fill(app: &App, [ada, bob, staff]: [&Client<'_>; 3], random: &mut Random) -> Vec<Listed> {
    let mut all = Vec::new();
    for number in 0..300 {
        app.clock.advance(Duration::from_millis(random.next() % 20));
        let owner = *random.pick(&[ada, bob]);
        let words = ["Éclair", "laptop", "LAPTOP-15", "lap desk", "Straße 1", "élan vital"];
        let mut body = json!({"product_name": random.pick(&words), "quantity": 1, "total_price": number});
        body["user_id"] = owner.id.to_string().into();
        if random.once_in(3) {
            body["external_id"] = (*random.pick(&["shop-1", "shop-2", "Shop-1"])).into();
        }
        if random.once_in(4) {
            body["note"] = "for the 100% élan".into();
        }
        let order = place(staff, body).await;
        let order = match random.below(4) {
            0 => step(staff, &order, "confirm", json!({})).await,
            1 => step(staff, &order, "cancel", json!({})).await,
            _ => order,
        };
        let hidden = random.once_in(10);
        let order = if hidden {
            if owner.delete(&path(&order, "")).await.status == 204 {
                super::view(staff, &order).await
            } else {
                order
            }
        } else {
            order
        };
        all.push(Listed { order, hidden });
    }
    all
}

type Filter = Box<dyn Fn(&Value) -> bool>;

/// A query and what it should find.
fn random_filter(
    all: &[Listed],
    ada: &Client<'_>,
    bob: &Client<'_>,
    random: &mut Random,
) -> (String, Filter) {
    let (mut query, mut filters) = (vec!["limit=200".to_owned()], Vec::<Filter>::new());
    let mut add = |part: String, filter: Filter| {
        query.push(part);
        filters.push(filter);
    };
    if random.once_in(2) {
        let status = *random.pick(&["pending", "confirmed", "cancelled", "completed"]);
        add(format!("status={status}"), Box::new(move |order| order["status"] == status));
    }
    if random.once_in(3) {
        let id = random.pick(&[ada, bob]).id.to_string();
        add(format!("user_id={id}"), Box::new(move |order| order["user_id"] == id));
    }
    let moment = random.pick(all).order["created_at"].as_str().unwrap().to_owned();
    if random.once_in(3) {
        let moment = moment.clone();
        add(
            format!("created_after={moment}"),
            Box::new(move |order| order["created_at"].as_str().unwrap() > moment.as_str()),
        );
    } else if random.once_in(2) {
        add(
            format!("created_before={moment}"),
            Box::new(move |order| order["created_at"].as_str().unwrap() < moment.as_str()),
        );
    }
    if random.once_in(4) {
        add("external_id=shop-1".to_owned(), Box::new(|order| order["external_id"] == "shop-1"));
    }
    if random.once_in(3) {
        let (words, texts) = *random.pick(&[
            ("LAP", "lap"),
            ("eclair", "éclair"),
            ("%C3%A9la%20vit", "élan vital"),
            ("%25%20FOR%20100", "for the 100%"),
            ("zzz", "zzz"),
            ("%25", ""),
        ]);
        add(
            format!("q={words}"),
            Box::new(move |order| {
                let text = format!("{} {}", order["product_name"], order["note"]).to_lowercase();
                text.contains(texts)
            }),
        );
    }
    if random.once_in(20) {
        add("sku=LAP-1".to_owned(), Box::new(|_| false));
    }
    (query.join("&"), Box::new(move |order| filters.iter().all(|filter| filter(order))))
}

async fn check_by_user(all: &[Listed], ada: &Client<'_>, staff: &Client<'_>) {
    let theirs = format!("/orders/user/{}", ada.id);
    let own: Vec<&Listed> =
        all.iter().rev().filter(|listed| listed.order["user_id"] == ada.id.to_string()).collect();
    let number = |listed: &&Listed| listed.order["number"].as_i64().unwrap();
    let every: Vec<i64> = own.iter().map(number).collect();
    let visible: Vec<i64> = own.iter().filter(|listed| !listed.hidden).map(number).collect();
    assert_eq!(numbers(staff, &format!("{theirs}?limit=200")).await, every);
    assert_eq!(numbers(ada, &format!("{theirs}?limit=200")).await, visible);
    ada.get(&format!("/orders/user/{}", staff.id)).await.problem(404, "not_found");
    ada.get("/orders/user/none").await.problem(404, "not_found");
    staff.get(&format!("{theirs}?user_id={}", staff.id)).await.problem(400, "invalid_parameter");
    assert!(numbers(staff, &format!("/orders/user/{}", kit::clock::new_id())).await.is_empty());
}

#[tokio::test]
async fn a_sku_is_found_whatever_its_case() {
    each_app(async |app| {
        let ada = app.customer("ada").await;
        for sku in ["ÄRA-1", "ÄRA-10"] {
            Goods::new(sku, 9).add_to(&app.db).await;
        }
        let lines = |skus: &[&str]| {
            json!({"lines": skus.iter().map(|sku| json!({"sku": sku, "quantity": 1})).collect::<Vec<_>>()})
        };
        let first = place(&ada, lines(&["ära-1"])).await["number"].as_i64().unwrap();
        let both = place(&ada, lines(&["ÄRA-10", "äRA-1"])).await["number"].as_i64().unwrap();
        let free = place(&ada, laptop()).await;
        for sku in ["ÄRA-1", "ära-1", "%C3%A4rA-1"] {
            assert_eq!(numbers(&ada, &format!("/orders?limit=1&sku={sku}")).await, [both, first], "{sku}");
        }
        assert_eq!(numbers(&ada, "/orders?sku=ära-10").await, [both]);
        assert!(numbers(&ada, "/orders?sku=ära").await.is_empty());
        let put = ada.put(&path(&free, ""), lines(&["ära-10"])).await.expect(200).json();
        assert_eq!(numbers(&ada, "/orders?sku=Ära-10").await, [put["number"].as_i64().unwrap(), both]);
    })
    .await;
}

#[tokio::test]
async fn a_wrong_parameter_is_told() {
    each_app(async |app| {
        let ada = app.customer("ada").await;
        for query in [
            "status=lost",
            "status=",
            "user_id=x",
            "created_after=yesterday",
            "created_before=2026-13-01T00:00:00Z",
            "limit=0",
            "limit=201",
            "limit=-1",
            "limit=1.5",
            "limit=1e1",
            "limit=",
            "sort=password",
            "sort=--number",
            "sort=number,created_at",
            "count=yes",
            "page=2",
            "status=pending&status=confirmed",
            "fields=*",
        ] {
            let problem = ada.get(&format!("/orders?{query}")).await.problem(400, "invalid_parameter");
            let field = query.split('=').next().unwrap();
            assert!(problem.faulty_fields().contains(&field.to_owned()), "{query}");
        }
    })
    .await;
}

/// The numbers of all pages.
async fn numbers(client: &Client<'_>, first: &str) -> Vec<i64> {
    let mut numbers = Vec::new();
    let mut next = Some(first.to_owned());
    while let Some(address) = next {
        let page = client.get(&address).await.expect(200).json();
        numbers
            .extend(page["items"].as_array().unwrap().iter().map(|order| order["number"].as_i64().unwrap()));
        next = page["next_cursor"].as_str().map(|cursor| format!("{first}&cursor={cursor}"));
    }
    numbers
}
