mod etags;
mod headers;
mod idempotency;
mod pages;

use serde_json::{Value, json};

fn order(total: i64) -> Value {
    json!({"product_name": "Laptop", "quantity": 1, "total_price": total})
}
