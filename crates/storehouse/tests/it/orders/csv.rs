//! Orders as a CSV file.

use serde_json::json;

use crate::harness::each_app;

#[tokio::test]
async fn each_line_is_a_row_and_what_is_summed_stands_once() {
    each_app(async |app| {
        let (staff, ada) = (app.staff("staff").await, app.customer("ada").await);
        let free = json!({"product_name": "=Laptop", "quantity": 3, "total_price": 10, "note": "a\nb", "ship_to": "-Street"});
        ada.post("/orders", free).await.expect(201);
        let lines = json!([{"name": "Gift", "quantity": 2, "unit_price": 1.5}, {"name": "Post", "quantity": 1, "unit_price": 4}]);
        let listed = json!({"lines": lines, "ship_to": {"city": "Ulm"}, "metadata": {"a": 1}});
        let order = staff.post("/orders", listed).await.expect(201).json();
        let text = staff.get("/orders.csv").await.expect(200).text();
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let headers = reader.headers().unwrap().clone();
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        let column = |name: &str| -> Vec<String> {
            let index = headers.iter().position(|header| header == name).unwrap();
            rows.iter().map(|row| row[index].to_owned()).collect()
        };
        for (name, expected) in [
            ("number", ["1001", "1002", "1002"]),
            ("status", ["pending", "pending", "pending"]),
            ("payment_status", ["none", "none", "none"]),
            ("line_name", ["'=Laptop", "Gift", "Post"]),
            ("line_unit_price", ["", "1.50", "4.00"]),
            ("line_total_price", ["10.00", "3.00", "4.00"]),
            ("total_price", ["10.00", "7.00", ""]),
            ("quantity", ["3", "3", ""]),
            ("note", ["a\nb", "", ""]),
            ("ship_to", ["'-Street", "{\"city\":\"Ulm\"}", ""]),
            ("metadata", ["{}", "{\"a\":1}", ""]),
            ("version", ["1", "1", ""]),
        ] {
            assert_eq!(column(name), expected, "{name}");
        }
        assert_eq!(column("id")[2], order["id"].as_str().unwrap());
        assert_eq!(column("created_at")[1], order["created_at"].as_str().unwrap());
        let none = staff.get("/orders.csv?status=cancelled").await.expect(200).text();
        assert_eq!(none.lines().count(), 1);
        ada.get("/orders.csv").await.problem(403, "forbidden");
    })
    .await;
}
