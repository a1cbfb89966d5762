//! Events as clients read them: in pages, and as a stream.

use std::time::Duration;

use ::events::sweep;
use axum::body::Body;
use http::Method;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::harness::{Client, each_app, each_shape, eventually};

async fn place(client: &Client<'_>, name: &str) -> String {
    let order = json!({"product_name": name, "quantity": 1, "total_price": 5});
    client.post("/orders", order).await.expect(201).json()["id"].as_str().unwrap().to_owned()
}

/// Other tests' transactions hold the log back for a moment, since they run on the same server.
async fn told(staff: &Client<'_>, count: usize) -> Value {
    let all = async || staff.get("/events?limit=200").await.expect(200).json();
    eventually("all can be read", async || all().await["items"].as_array().unwrap().len() == count).await;
    all().await
}

fn ids(page: &Value) -> Vec<String> {
    page["items"].as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn pages_and_their_links_lead_through_all_events() {
    each_shape(async |app| {
        let staff = app.staff("staff").await;
        for number in 0..5 {
            place(&staff, &format!("Lamp {number}")).await;
        }
        let all = told(&staff, 6).await;
        assert_eq!(
            (&all["next_cursor"], &all["position"]),
            (&Value::Null, &json!(ids(&all).last().unwrap()))
        );
        let (mut path, mut seen) = ("/events?limit=2&type=order.placed,user.created".to_owned(), Vec::new());
        loop {
            let page = staff.get(&path).await.expect(200);
            seen.extend(ids(&page.json()));
            let Some(next) = page.header("link").strip_suffix(">; rel=\"next\"") else { break };
            let next_cursor = page.json()["next_cursor"].as_str().unwrap().to_owned();
            assert!(next.ends_with(&format!("&after={next_cursor}")), "{next}");
            path = next.strip_prefix('<').unwrap().to_owned();
        }
        assert_eq!(seen, ids(&all));
        let latest = staff.get("/events?after=latest").await.expect(200).json();
        assert_eq!((ids(&latest).len(), &latest["position"]), (0, &all["position"]));
        place(&staff, "One more").await;
        let path = format!("/events?after={}", all["position"].as_str().unwrap());
        eventually("it is told", async || ids(&staff.get(&path).await.json()).len() == 1).await;
        let none = staff.get("/events?type=stock.low").await.expect(200).json();
        assert_eq!((ids(&none).len(), &none["next_cursor"]), (0, &Value::Null));
        assert!(
            none["position"].as_str() > all["position"].as_str(),
            "it goes on behind what it didn't want"
        );
    })
    .await;
}

#[tokio::test]
async fn what_was_asked_for_wrongly_is_told() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        for path in ["/events?after=nonsense", "/events/stream?after=0-0-0", "/events?after=0-01"] {
            staff.get(path).await.problem(400, "invalid_cursor");
        }
        for path in ["/events?limit=0", "/events?limit=201", "/events?type=order.lost", "/events?cursor=0-1"]
        {
            staff.get(path).await.problem(400, "invalid_parameter");
        }
        let stream = staff.request(Method::GET, "/events/stream").header("last-event-id", "seven");
        stream.send().await.problem(400, "invalid_cursor");
        // A position that was never given.
        staff.get("/events?after=7fffffffffffffff-1").await.problem(410, "cursor_expired");
        for _ in 0..3 {
            place(&staff, "Lamp").await;
        }
        let all = told(&staff, 4).await;
        app.clock.advance(Duration::from_secs(60));
        assert_eq!(sweep(&app.db, app.clock.now(), 2).await, Ok(2));
        for path in ["/events", "/events/stream"] {
            let gone =
                staff.get(&format!("{path}?after={}", ids(&all)[0])).await.problem(410, "cursor_expired");
            assert_eq!(gone.json()["oldest"], ids(&all)[1]);
        }
        assert_eq!(ids(&staff.get("/events").await.expect(200).json()), ids(&all)[2..]);
    })
    .await;
}

/// A generic reader of lists: it knows `items` and `next_cursor`, and gives that as `after`.
#[tokio::test]
async fn the_next_cursor_is_what_after_takes_and_kinds_are_chosen_as_a_whole() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        for number in 0..5 {
            place(&staff, &format!("Lamp {number}")).await;
        }
        let all = told(&staff, 6).await;
        for (wanted, expected) in [
            ("", &ids(&all)[..]),
            ("&type=order.*", &ids(&all)[1..]),
            ("&type=user.*,order.changed", &ids(&all)[..1]),
        ] {
            let (mut after, mut seen) = (String::new(), Vec::new());
            loop {
                let page = staff.get(&format!("/events?limit=2{wanted}{after}")).await.expect(200).json();
                seen.extend(ids(&page));
                let Some(next) = page["next_cursor"].as_str() else { break };
                after = format!("&after={next}");
            }
            assert_eq!(seen, expected, "{wanted}");
        }
        let (_, mut body) = staff.request(Method::GET, "/events/stream?type=order.*").open().await;
        assert!(next_events(&mut body, 5).await.iter().all(|(_, name, _)| name == "order.placed"));
        for wrong in ["order", "order.lost", "ord*", "*", "order.*,", "Order.*"] {
            let refused = staff.get(&format!("/events?type={wrong}")).await.problem(400, "invalid_parameter");
            let told = refused.json()["errors"][0]["message"].clone();
            assert!(told.as_str().unwrap().contains("there are order.placed, order.changed"), "{told}");
        }
    })
    .await;
}

/// Reads a stream until so many events have come; each is its id, its type and itself.
async fn next_events(body: &mut Body, count: usize) -> Vec<(String, String, Value)> {
    let (mut text, mut events) = (String::new(), Vec::new());
    while events.len() < count {
        let frame = body.frame().await.expect("the stream goes on").unwrap();
        text.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
        while let Some((block, rest)) = text.split_once("\n\n") {
            let field =
                |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
            if let Some(data) = field("data: ") {
                let data = serde_json::from_str(&data).unwrap();
                events.push((field("id: ").unwrap(), field("event: ").unwrap(), data));
            }
            text = rest.to_owned();
        }
    }
    assert_eq!(events.len(), count);
    events
}

#[tokio::test]
async fn a_stream_tells_what_was_and_what_comes_and_goes_on_where_it_was_cut_off() {
    each_shape(async |app| {
        let staff = app.staff("staff").await;
        place(&staff, "Lamp").await;
        let (answer, mut body) = staff.request(Method::GET, "/events/stream").open().await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "text/event-stream"));
        let first = next_events(&mut body, 2).await;
        assert_eq!([&*first[0].1, &*first[1].1], ["user.created", "order.placed"]);
        place(&staff, "Another").await;
        let second = next_events(&mut body, 1).await;
        assert_eq!(second[0].2["id"], json!(second[0].0));
        drop(body);
        place(&staff, "A third").await;
        let again = staff.request(Method::GET, "/events/stream?after=latest&type=order.placed");
        let (_, mut body) = again.header("last-event-id", &first[1].0).open().await;
        let rest = next_events(&mut body, 2).await;
        assert_eq!(rest[0].2, second[0].2);
    })
    .await;
}

#[tokio::test]
async fn a_stream_ends_with_its_session_its_role_or_the_process() {
    each_app(async |app| {
        let (staff, admin) = (app.staff("staff").await, app.admin("admin").await);
        let open = async |client: &Client<'_>| {
            let (answer, body) = client.request(Method::GET, "/events/stream?after=latest").open().await;
            assert_eq!(answer.status.as_u16(), 200);
            body
        };
        let body = open(&staff).await;
        staff.post("/auth/logout", json!({})).await.expect(204);
        assert!(body.collect().await.unwrap().to_bytes().is_empty());
        let other = app.staff("other").await;
        let body = open(&other).await;
        admin.put(&format!("/users/{}", other.id), json!({"role": "customer"})).await.expect(200);
        assert!(body.collect().await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn there_are_so_many_streams_and_no_more() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        let mut open = Vec::new();
        for number in 0..8 {
            let person = app.staff(&format!("staff{number}")).await;
            for _ in 0..8 {
                open.push(person.request(Method::GET, "/events/stream").open().await);
            }
            if number == 0 {
                let refused = person.get("/events/stream").await.problem(429, "too_many_streams");
                assert!(refused.text().contains("8 event streams"), "{}", refused.text());
            }
        }
        assert!(open.iter().all(|(answer, _)| answer.status.as_u16() == 200));
        let metrics = app.nobody().get("/metrics").await.expect(200).text();
        assert!(metrics.contains("storehouse_event_streams 64"), "{metrics}");
        let refused = staff.get("/events/stream").await.problem(503, "unavailable");
        assert_eq!(refused.header("retry-after"), "10");
        open.pop();
        staff.get("/events/stream").await.expect(200);
        let metrics = app.nobody().get("/metrics").await.expect(200).text();
        assert!(metrics.contains("storehouse_event_streams 63"), "one that has ended gives its place back");
    })
    .await;
}
