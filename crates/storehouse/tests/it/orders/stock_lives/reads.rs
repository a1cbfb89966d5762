//! All that can be read of a life, held against its model: products, levels, the ledger and orders, filtered, sorted, page by page, counted, and
//! as files.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::life::Life;
use super::model::{Order, PLACES, Spots};
use super::{LICENCE, LIMITS, SKUS, all_pages};
use crate::orders::path;

const SORTS: [&str; 6] = ["created_at", "-created_at", "total_price", "-total_price", "number", "-number"];
const STATUSES: [&str; 7] = ["", "pending", "confirmed", "on_hold", "completed", "cancelled", "expired"];

/// A part of a query, and which orders it leaves in.
type Filter<'a> = (String, Box<dyn Fn(usize) -> bool + 'a>);

impl Life<'_> {
    /// Everything that can be read.
    pub(super) async fn check_reads(&self) {
        self.check_levels().await;
        self.check_products().await;
        self.check_availability().await;
        self.check_ledger().await;
        self.check_orders().await;
        self.check_histories().await;
        self.check_files().await;
    }

    async fn check_levels(&self) {
        let staff = &self.stage.staff;
        let all = all_pages(staff, "/stock", 2).await;
        for row in &all {
            let Some((product, place)) = self.spot(row) else { continue };
            let shelf = self.model.products[product].shelves[place];
            let limit = if place == 0 { LIMITS[product] } else { 0 };
            let available = shelf.on_hand - shelf.unavailable - shelf.allocated + limit;
            let figures = json!([shelf.on_hand, shelf.allocated, shelf.unavailable, available]);
            assert_eq!(figures_of(row), figures, "{row}");
        }
        let products = self.stage.products.iter().map(|id| ("product_id", id));
        for (name, id) in products.chain(self.stage.places.iter().map(|id| ("location_id", id))) {
            let own = all_pages(staff, &format!("/stock?{name}={id}"), 1).await;
            let expected: Vec<&Value> = all.iter().filter(|row| row[name] == id.to_string()).collect();
            assert_eq!(own.iter().collect::<Vec<_>>(), expected, "{name}");
        }
    }

    /// On hand, allocated, unavailable and available of a product.
    fn totals(&self, product: usize) -> [i64; 4] {
        let shelves = self.model.products[product].shelves.iter();
        let [on_hand, allocated, unavailable] = shelves.fold([0; 3], |sums, shelf| {
            [sums[0] + shelf.on_hand, sums[1] + shelf.allocated, sums[2] + shelf.unavailable]
        });
        [on_hand, allocated, unavailable, on_hand - allocated - unavailable + LIMITS[product]]
    }

    async fn check_products(&self) {
        let (staff, customer) = (&self.stage.staff, &self.people[1]);
        for (list, skus) in [("sku", ["A", "B", "C", LICENCE]), ("-sku", [LICENCE, "C", "B", "A"])] {
            for client in [staff, customer] {
                let found = all_pages(client, &format!("/products?sort={list}"), 2).await;
                assert_eq!(found.iter().map(|product| &product["sku"]).collect::<Vec<_>>(), skus);
                for product in &found {
                    let index = SKUS.iter().position(|sku| product["sku"] == *sku);
                    let Some(figures) = index.map(|index| self.totals(index)) else { continue };
                    if client.id == staff.id {
                        assert_eq!(figures_of(&product["stock"]), json!(figures), "{product}");
                    } else {
                        assert_eq!(product["stock"], json!({"available": figures[3].max(0)}), "{product}");
                    }
                }
            }
        }
    }

    async fn check_availability(&self) {
        for (product, id) in self.stage.products.iter().enumerate() {
            let show = async |path: &str| self.stage.staff.get(path).await.expect(200).json();
            let by_sku = show(&format!("/products/by-sku/{}", SKUS[product])).await;
            assert_eq!(figures_of(&by_sku["stock"]), json!(self.totals(product)), "{by_sku}");
            let found = show(&format!("/products/{id}/availability?explain=true")).await;
            assert_eq!(figures_of(&found), json!(self.totals(product)), "{found}");
            let held = found["explanation"]["allocated"].as_array().unwrap().iter();
            let held =
                held.map(|row| ((text(&row["order_id"]), text(&row["location_id"])), text(&row["quantity"])));
            assert_eq!(held.collect::<BTreeMap<_, _>>(), self.holders(product), "{found}");
        }
    }

    /// Which order holds how much of a product, and where.
    fn holders(&self, product: usize) -> BTreeMap<(String, String), String> {
        let orders = self.orders.iter().zip(&self.model.orders);
        let held =
            orders.flat_map(|(order, model)| kept(&model.held).into_iter().map(move |held| (order, held)));
        let own = held.filter(|(_, (spot, _))| spot.0 == product);
        own.map(|(order, ((_, place), quantity))| {
            ((text(&order["id"]), self.stage.places[place].to_string()), quantity.to_string())
        })
        .collect()
    }

    /// The rows add up to the levels, and those of an order to what it holds and has shipped.
    async fn check_ledger(&self) {
        let staff = &self.stage.staff;
        let rows = all_pages(staff, "/stock/movements?sort=created_at", 50).await;
        let levels = self.found_levels(&all_pages(staff, "/stock", 200).await);
        let sums =
            ["on_hand_delta", "allocated_delta", "unavailable_delta"].map(|name| self.sums(&rows, name));
        assert_eq!(sums, levels, "the ledger's sums");
        let mut after = BTreeMap::<_, [i64; 2]>::new();
        for row in &rows {
            let level = after.entry(self.spot(row).unwrap()).or_default();
            for (figure, name) in level.iter_mut().zip(["on_hand", "allocated"]) {
                *figure += row[format!("{name}_delta")].as_i64().unwrap();
                assert_eq!(row[format!("{name}_after")], *figure, "{row}");
            }
        }
        for (order, model) in self.orders.iter().zip(&self.model.orders) {
            let own: Vec<&Value> = rows.iter().filter(|row| row["cause"]["id"] == order["id"]).collect();
            assert_eq!(self.sums(own.iter().copied(), "allocated_delta"), kept(&model.held), "{order}");
            let gone = self.sums(own, "on_hand_delta").into_iter().map(|(spot, sum)| (spot, -sum));
            assert_eq!(gone.collect::<Spots>(), kept(&model.gone), "{order}");
        }
        self.check_parts_of_the_ledger(&rows).await;
    }

    async fn check_parts_of_the_ledger(&self, rows: &[Value]) {
        let kinds = [
            "receive",
            "adjust",
            "count",
            "quarantine",
            "transfer_out",
            "transfer_in",
            "allocate",
            "release",
            "ship",
            "return",
        ];
        for (index, kind) in kinds.into_iter().enumerate() {
            let product = self.stage.products[index % SKUS.len()].to_string();
            let place = self.stage.places[index % PLACES].to_string();
            let is_found = |row: &&Value| row["kind"] == kind && row["product_id"] == *product;
            let own: Vec<&Value> = rows.iter().filter(is_found).rev().collect();
            let list = format!("/stock/movements?kind={kind}&product_id={product}");
            assert_eq!(
                all_pages(&self.stage.staff, &list, 3).await.iter().collect::<Vec<_>>(),
                own,
                "{list}"
            );
            let there: Vec<&Value> = own.into_iter().filter(|row| row["location_id"] == *place).collect();
            let list = format!("{list}&location_id={place}");
            assert_eq!(
                all_pages(&self.stage.staff, &list, 1).await.iter().collect::<Vec<_>>(),
                there,
                "{list}"
            );
        }
    }

    /// Lists by every status and filter, of another person and in another order each time.
    async fn check_orders(&self) {
        let filters = self.filters();
        let queries = STATUSES.iter().flat_map(|status| filters.iter().map(move |filter| (*status, filter)));
        for (turn, (status, (query, is_kept))) in (self.orders.len()..).zip(queries) {
            let (viewer, sort) = (turn % self.people.len(), SORTS[(turn / 3) % SORTS.len()]);
            let has_status =
                |index: usize| status.is_empty() || self.model.orders[index].life.status == status;
            let kept = self.seen_by(viewer).filter(|index| has_status(*index) && is_kept(*index));
            let status = if status.is_empty() { String::new() } else { format!("&status={status}") };
            let (list, limit) = (format!("/orders?sort={sort}{status}{query}"), 2 + turn % 7);
            self.check_list(viewer, &list, limit, self.sorted(kept.collect(), sort)).await;
        }
        for (viewer, client) in self.people.iter().enumerate() {
            let own = self.seen_by(viewer).filter(|index| self.model.orders[*index].owner == viewer);
            let list = format!("/orders/user/{}", client.id);
            self.check_list(viewer, &list, 3, self.sorted(own.collect(), "-created_at")).await;
        }
    }

    /// Staff see all orders, others those of their own that they haven't put away.
    fn seen_by(&self, viewer: usize) -> impl Iterator<Item = usize> {
        let is_seen = move |order: &Order| viewer == 0 || (order.owner == viewer && !order.hidden);
        (0..self.orders.len()).filter(move |index| is_seen(&self.model.orders[*index]))
    }

    async fn check_list(&self, viewer: usize, list: &str, limit: usize, expected: Vec<i64>) {
        let client = &self.people[viewer];
        let found = all_pages(client, list, limit).await;
        let numbers: Vec<i64> = found.iter().map(|order| order["number"].as_i64().unwrap()).collect();
        assert_eq!(numbers, expected, "{} sees {list}", client.email);
    }

    /// The numbers of these orders, sorted as a list sorts them.
    fn sorted(&self, mut indexes: Vec<usize>, sort: &str) -> Vec<i64> {
        // Times and numbers rise from one order to the next, and so do the ids, which decide between equals.
        if sort.ends_with("total_price") {
            indexes.sort_by_key(|index| self.model.orders[*index].life.total);
        }
        if sort.starts_with('-') {
            indexes.reverse();
        }
        indexes.into_iter().map(|index| self.orders[index]["number"].as_i64().unwrap()).collect()
    }

    fn filters(&self) -> Vec<Filter<'_>> {
        let line = |index: usize, sku| self.model.orders[index].lines.iter().any(|line| line.sku == sku);
        let time = |index: usize| self.orders[index]["created_at"].as_str().unwrap();
        let mut filters: Vec<Filter<'_>> = vec![
            (String::new(), Box::new(|_| true)),
            ("&sku=b".to_owned(), Box::new(move |index| line(index, Some("B")))),
            ("&sku=licence".to_owned(), Box::new(move |index| line(index, Some(LICENCE)))),
            ("&q=post".to_owned(), Box::new(move |index| line(index, None))),
            ("&q=lic%20thi".to_owned(), Box::new(move |index| line(index, Some(LICENCE)))),
            (
                "&external_id=shop-2".to_owned(),
                Box::new(|index| self.orders[index]["external_id"] == "shop-2"),
            ),
            (
                format!("&user_id={}", self.people[1].id),
                Box::new(|index| self.model.orders[index].owner == 1),
            ),
        ];
        if !self.orders.is_empty() {
            let middle = time(self.orders.len() / 2);
            let both = format!("&created_after={middle}&sku=A");
            filters.push((both, Box::new(move |index| time(index) > middle && line(index, Some("A")))));
            filters.push((format!("&created_before={middle}"), Box::new(move |index| time(index) < middle)));
        }
        filters
    }

    async fn check_histories(&self) {
        for (order, model) in self.orders.iter().zip(&self.model.orders).rev().take(4) {
            let rows = all_pages(&self.stage.staff, &path(order, "/history?sort=created_at"), 3).await;
            let told: Vec<Value> =
                rows.iter().map(|row| json!([row["action"], row["from"], row["to"]])).collect();
            let expected: Vec<Value> =
                model.life.history.iter().map(|row| json!([row.action, row.from, row.to])).collect();
            assert_eq!(told, expected, "{order}");
        }
    }

    async fn check_files(&self) {
        let levels = all_pages(&self.stage.staff, "/stock", 200).await;
        let columns = ["sku", "location", "on_hand", "allocated", "unavailable", "available"];
        let mut expected: Vec<Vec<String>> =
            levels.iter().map(|row| columns.map(|name| text(&row[name])).to_vec()).collect();
        let mut found = self.file("/stock.csv?figures=true", &columns).await;
        expected.sort();
        found.sort();
        assert_eq!(found, expected, "stock.csv");
        let columns = ["number", "status", "line_sku", "line_quantity"];
        let mut expected = Vec::new();
        for (order, model) in self.orders.iter().zip(&self.model.orders) {
            for line in &model.lines {
                let sku = line.sku.unwrap_or_default().to_owned();
                expected.push(vec![
                    text(&order["number"]),
                    model.life.status.to_owned(),
                    sku,
                    line.quantity.to_string(),
                ]);
            }
        }
        let mut found = self.file("/orders.csv", &columns).await;
        expected.sort();
        found.sort();
        assert_eq!(found, expected, "orders.csv");
    }

    /// Some columns of a CSV file.
    async fn file(&self, path: &str, columns: &[&str]) -> Vec<Vec<String>> {
        let text = self.stage.staff.get(path).await.expect(200).text();
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let headers = reader.headers().unwrap().clone();
        let place = |name: &&str| headers.iter().position(|header| header == *name).expect(name);
        let places: Vec<usize> = columns.iter().map(place).collect();
        let row = |row: csv::StringRecord| places.iter().map(|place| row[*place].to_owned()).collect();
        reader.records().map(|found| row(found.unwrap())).collect()
    }
}

fn figures_of(row: &Value) -> Value {
    json!(["on_hand", "allocated", "unavailable", "available"].map(|name| &row[name]))
}

/// What is not nothing.
fn kept(spots: &Spots) -> Spots {
    spots.iter().filter(|(_, count)| **count != 0).map(|(spot, count)| (*spot, *count)).collect()
}

/// As a cell of a file tells it.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
