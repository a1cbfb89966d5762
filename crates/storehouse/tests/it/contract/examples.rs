//! A valid body for every operation that takes one: each wrong request of these tests is one of them, made wrong.

use super::document::Operation;
use super::stage::Who;

/// The operation, who sends it, and the body; `$line`, `$sku` and so on stand for what the stage has.
const EXAMPLES: &[(&str, Who, &str)] = &[
    (
        "POST /auth/register",
        Who::Nobody,
        r#"{"email": "new@example.com", "password": "canary-4f1c horse", "username": "newcomer"}"#,
    ),
    (
        "POST /auth/setup",
        Who::Nobody,
        r#"{"token": "no-such-token", "email": "new@example.com", "password": "canary-4f1c horse", "username": "newcomer"}"#,
    ),
    ("POST /auth/totp", Who::Owner, r#"{"current_password": "canary-4f1c horse"}"#),
    ("POST /auth/totp/confirm", Who::Owner, r#"{"code": "123456"}"#),
    ("DELETE /auth/totp", Who::Owner, r#"{"current_password": "canary-4f1c horse", "totp": "123456"}"#),
    (
        "POST /auth/totp/recovery-codes",
        Who::Owner,
        r#"{"current_password": "canary-4f1c horse", "totp": "123456"}"#,
    ),
    ("POST /auth/login", Who::Nobody, r#"{"email": "new@example.com", "password": "canary-4f1c horse"}"#),
    ("POST /auth/refresh", Who::Nobody, r#"{"refresh_token": "no-such-token"}"#),
    ("POST /auth/logout", Who::Owner, "{}"),
    ("POST /auth/logout-all", Who::Owner, "{}"),
    (
        "POST /auth/password",
        Who::Owner,
        r#"{"current_password": "canary-4f1c horse", "new_password": "canary-4f1c staple"}"#,
    ),
    ("POST /auth/password/forgot", Who::Nobody, r#"{"email": "new@example.com"}"#),
    (
        "POST /auth/password/reset",
        Who::Nobody,
        r#"{"token": "no-such-token", "new_password": "battery staple"}"#,
    ),
    ("POST /auth/email/verify", Who::Nobody, r#"{"token": "no-such-token"}"#),
    ("POST /auth/email/verify/resend", Who::Owner, "{}"),
    ("POST /auth/keys", Who::Admin, r#"{"name": "The shop", "scopes": ["orders:read", "stock:write"]}"#),
    (
        "POST /users",
        Who::Admin,
        r#"{"email": "made@example.com", "username": "made", "role": "staff", "preferences": {"dark": true}}"#,
    ),
    ("PUT /users/me", Who::Owner, r#"{"full_name": "Ann Owner"}"#),
    ("PATCH /users/me", Who::Admin, r#"{"full_name": "Ann Admin", "preferences": {}}"#),
    ("PUT /users/{id}", Who::Admin, r#"{"phone": "555", "disabled": false}"#),
    ("PATCH /users/{id}", Who::Owner, r#"{"address": "Main Street 1"}"#),
    (
        "POST /orders",
        Who::Owner,
        r#"{"product_name": "Laptop", "quantity": 1, "total_price": 999.99, "ship_to": "Main Street 1"}"#,
    ),
    ("POST /orders", Who::Owner, r#"{"lines": [{"sku": "LAP-1", "quantity": 2}]}"#),
    (
        "POST /orders",
        Who::Admin,
        r#"{"lines": [{"name": "Shipping", "quantity": 1, "unit_price": "4.90"}], "metadata": {"a": 1}}"#,
    ),
    ("PUT /orders/{id}", Who::Owner, r#"{"product_name": "Laptop", "quantity": 3, "total_price": 9}"#),
    ("PATCH /orders/{id}", Who::Admin, r#"{"lines": [{"name": "Gift", "quantity": 1, "unit_price": 1.5}]}"#),
    ("POST /orders/{id}/confirm", Who::Staff, r#"{"reason": "paid by wire"}"#),
    ("POST /orders/{id}/hold", Who::Staff, "{}"),
    ("POST /orders/{id}/release", Who::Staff, "{}"),
    ("POST /orders/{id}/cancel", Who::Owner, r#"{"reason": "too dear"}"#),
    (
        "POST /orders/{id}/ship",
        Who::Staff,
        r#"{"lines": [{"id": "$line", "quantity": 1}], "carrier": "Post", "tracking": "1Z"}"#,
    ),
    ("POST /orders/{id}/deliver", Who::Staff, "{}"),
    (
        "POST /orders/{id}/return",
        Who::Staff,
        r#"{"lines": [{"id": "$line", "quantity": 1}], "restock": false}"#,
    ),
    ("POST /orders/{id}/pay", Who::Staff, r#"{"amount": 1, "method": "cash", "reference": "7"}"#),
    ("POST /orders/{id}/refund", Who::Staff, r#"{"amount": "0.50", "reason": "broken"}"#),
    (
        "POST /webhooks",
        Who::Admin,
        r#"{"url": "https://example.com/hook", "description": "The shop", "types": ["order.*"], "enabled": false}"#,
    ),
    ("PUT /webhooks/{id}", Who::Admin, r#"{"url": "https://example.com/other"}"#),
    ("PATCH /webhooks/{id}", Who::Admin, r#"{"description": null, "types": ["stock.low", "order.placed"]}"#),
    ("POST /webhooks/{id}/rotate", Who::Admin, "{}"),
    ("POST /webhooks/{id}/test", Who::Admin, "{}"),
    ("POST /webhooks/{id}/deliveries/{delivery_id}/replay", Who::Admin, "{}"),
    (
        "POST /products",
        Who::Staff,
        r#"{"sku": "NEW-1", "name": "Lamp", "barcode": "4006381333931", "unit_price": 9.99, "unit_cost": "4.5",
            "attributes": {"colour": "red"}, "reorder_point": 5, "reorder_quantity": 20}"#,
    ),
    ("PUT /products/{id}", Who::Staff, r#"{"name": "Laptop 15", "unit_price": 899, "backorder_limit": 3}"#),
    ("PATCH /products/{id}", Who::Admin, r#"{"description": null, "reorder_point": 2, "active": true}"#),
    ("POST /categories", Who::Staff, r#"{"name": "Lamps"}"#),
    ("POST /reason-codes", Who::Staff, r#"{"code": "leaked", "description": "Water came in"}"#),
    ("POST /locations", Who::Staff, r#"{"code": "NORTH", "name": "The northern store", "priority": 2}"#),
    ("PUT /locations/{id}", Who::Staff, r#"{"name": "The other store", "priority": 7}"#),
    (
        "POST /stock/adjustments",
        Who::Staff,
        r#"{"sku": "$sku", "location": "MAIN", "kind": "receive", "quantity": 5, "reason": "found", "unit_cost": 4}"#,
    ),
    (
        "POST /stock/transfers",
        Who::Admin,
        r#"{"product_id": "$product", "from": "MAIN", "to": "$location", "quantity": 1}"#,
    ),
];

/// The same of those that take a CSV file.
const FILES: &[(&str, &str)] = &[
    ("POST /products/import", "sku,name,unit_price\nNEW-2,Lamp,9.99\n$sku,Laptop 15,899\n"),
    ("POST /stock/import", "sku,location,on_hand\n$sku,MAIN,7\n"),
];

/// The file of an operation that takes one.
pub(crate) fn file(operation: &Operation) -> Option<&'static str> {
    let key = operation.key();
    let found = FILES.iter().find(|(known, _)| *known == key).map(|(_, file)| *file);
    assert_eq!(operation.takes_file(), found.is_some(), "{key}: add a valid file to FILES, or take it out");
    found
}

/// The examples of an operation; one that takes a body and has none is a failure.
pub(crate) fn examples(operation: &Operation) -> Vec<(Who, &'static str)> {
    let key = operation.key();
    let found: Vec<(Who, &'static str)> =
        EXAMPLES.iter().filter(|(known, _, _)| *known == key).map(|(_, who, body)| (*who, *body)).collect();
    let needs_one = operation.body_schema().is_some();
    assert_eq!(needs_one, !found.is_empty(), "{key}: add a valid body to EXAMPLES, or take it out");
    found
}

/// Examples of operations that are no more.
pub(crate) fn strangers(operations: &[Operation]) -> Vec<&'static str> {
    let keys: Vec<String> = operations.iter().map(Operation::key).collect();
    EXAMPLES.iter().map(|(key, _, _)| *key).filter(|key| !keys.iter().any(|known| known == key)).collect()
}
