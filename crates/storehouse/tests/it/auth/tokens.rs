//! Attacks on access tokens, with tokens made by hand.

use hmac::{Hmac, KeyInit, Mac};
use http::Method;
use kit::token::{from_base64, to_base64};
use serde_json::{Value, json};
use sha2::{Sha256, Sha384, Sha512};

use crate::harness::{App, Client, Random, SECRET, each_app};

#[tokio::test]
async fn a_token_made_by_hand_is_as_good_as_ours() {
    each_app(async |app| {
        let ada = app.customer("ada").await;
        let made = signed(HS256, &claims(&ada).to_string());
        ada.with_token(&made).get("/users/me").await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn j02_unsigned_tokens_are_refused() {
    each_app(async |app| {
        let ada = app.customer("ada").await;
        let payload = claims(&ada).to_string();
        for algorithm in ["none", "None", "NONE", "nOnE", "noNE", ""] {
            let header = json!({"typ": "JWT", "alg": algorithm}).to_string();
            refused_unsigned(&ada, &header, &payload).await;
            refused(&ada, &signed(&header, &payload)).await;
        }
        refused_unsigned(&ada, r#"{"typ":"JWT"}"#, &payload).await;
        refused_unsigned(&ada, HS256, &payload).await;
    })
    .await;
}

#[tokio::test]
async fn j03_other_algorithms_and_keys_are_refused() {
    each_app(async |app| {
        let ada = app.customer("ada").await;
        let payload = claims(&ada).to_string();
        for algorithm in ["RS256", "ES256", "PS256", "EdDSA", "HS384", "HS512", "hs256", "HS257"] {
            let header = json!({"typ": "JWT", "alg": algorithm}).to_string();
            refused(&ada, &signed(&header, &payload)).await;
        }
        let text = |algorithm: &str| unsigned(&json!({"typ": "JWT", "alg": algorithm}).to_string(), &payload);
        let stronger = text("HS384");
        let code = mac::<Hmac<Sha384>>(SECRET.as_bytes(), &stronger);
        refused(&ada, &format!("{stronger}.{}", to_base64(&code))).await;
        let strongest = text("HS512");
        let code = mac::<Hmac<Sha512>>(SECRET.as_bytes(), &strongest);
        refused(&ada, &format!("{strongest}.{}", to_base64(&code))).await;
        let keys = app.nobody().get("/.well-known/jwks.json").await.expect(200).text();
        for key in
            ["", "secret", "your-secret-key-change-in-production", "storehouse", &SECRET[1..], &keys, "[]"]
        {
            refused(&ada, &signed_with(key, HS256, &payload)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn j04_keys_never_come_from_the_token() {
    each_app(async |app| {
        let ada = app.customer("ada").await;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let elsewhere = format!("http://{}/keys", listener.local_addr().unwrap());
        let payload = claims(&ada).to_string();
        let key = json!({"kty": "oct", "k": to_base64(b"secret"), "alg": "HS256"});
        for (name, value) in
            [("jwk", key), ("jku", json!(elsewhere)), ("x5u", json!(elsewhere)), ("x5c", json!(["MIIB"]))]
        {
            let header = json!({"typ": "JWT", "alg": "HS256", name: value}).to_string();
            for key in ["", "secret"] {
                refused(&ada, &signed_with(key, &header, &payload)).await;
            }
        }
        let called = listener.accept().map(|(_, caller)| caller);
        assert!(called.is_err(), "{called:?} has asked for keys");
    })
    .await;
}

#[tokio::test]
async fn j05_a_kid_chooses_no_key() {
    each_app(async |app| {
        let ada = app.customer("ada").await;
        let payload = claims(&ada).to_string();
        let long = "k".repeat(10_000);
        for kid in [
            json!("../../dev/null"),
            json!("/proc/sys/kernel/randomize_va_space"),
            json!("' OR 1=1--"),
            json!("\u{0}"),
            json!(long),
            json!(1),
            json!(["a"]),
            json!("unknown"),
            json!(null),
        ] {
            let header = json!({"typ": "JWT", "alg": "HS256", "kid": kid}).to_string();
            for key in ["", "secret", "\n", "2\n"] {
                refused(&ada, &signed_with(key, &header, &payload)).await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn j15_the_key_set_shows_no_secret() {
    each_app(async |app| {
        let keys = app.nobody().get("/.well-known/jwks.json").await.expect(200);
        assert_eq!(keys.json(), json!({"keys": []}), "a shared secret has no public half");
    })
    .await;
}

#[tokio::test]
async fn j06_any_flipped_bit_is_noticed() {
    each_app(async |app| {
        let ada = app.customer("ada").await;
        let token = ada.token.clone().unwrap();
        let mut random = Random::new();
        for _ in 0..200 {
            let mut parts: Vec<Vec<u8>> = token.split('.').map(|part| from_base64(part).unwrap()).collect();
            let part = random.below(3);
            let bit = random.below(parts[part].len() * 8);
            parts[part][bit / 8] ^= 1 << (bit % 8);
            let parts: Vec<String> = parts.iter().map(|part| to_base64(part)).collect();
            refused(&ada, &parts.join(".")).await;
        }
        let other = app.customer("bob").await.token.unwrap();
        let (text, code) = (token.rsplit_once('.').unwrap().0, other.rsplit_once('.').unwrap().1);
        refused(&ada, &format!("{text}.{code}")).await;
    })
    .await;
}

#[tokio::test]
async fn j14_another_spelling_of_a_token_is_refused_also_after_logout() {
    each_app(async |app| {
        let ada = app.customer("ada").await;
        let token = ada.token.clone().unwrap();
        ada.get("/users/me").await.expect(200);
        let spellings: Vec<String> =
            tail_spellings(&token).into_iter().chain([format!("{token}="), format!("{token}.")]).collect();
        for spelling in &spellings {
            refused(&ada, spelling).await;
        }
        ada.post("/auth/logout", json!({})).await.expect(204);
        for spelling in spellings.iter().chain([&token]) {
            refused(&ada, spelling).await;
        }
    })
    .await;
}

#[tokio::test]
async fn j07_a_token_has_its_time() {
    each_app(async |app| {
        let ada = app.customer("ada").await;
        let now = app.clock.now().seconds();
        for (name, value) in [
            ("exp", now - 60),
            ("exp", now - 6),
            ("nbf", now + 60),
            ("iat", now + 60),
            ("iat", now + 1_000_000),
        ] {
            refused_claims(&ada, name, &value.to_string()).await;
        }
        app.clock.advance(kit::token::ACCESS_LIFETIME + std::time::Duration::from_secs(6));
        refused(&ada, &ada.token.clone().unwrap()).await;
    })
    .await;
}

#[tokio::test]
async fn j08_malformed_and_missing_claims_are_refused() {
    each_app(async |app| {
        let ada = app.customer("ada").await;
        for name in ["exp", "nbf", "iat", "sub", "sid", "jti", "role", "iss", "aud"] {
            for value in [
                "\"9999999999\"",
                "null",
                "true",
                "{}",
                "-1",
                "1e308",
                "[]",
                "\"\"",
                "9999999999999999999999",
            ] {
                refused_claims(&ada, name, value).await;
            }
            let mut without = claims(&ada);
            without.as_object_mut().unwrap().remove(name);
            refused(&ada, &signed(HS256, &without.to_string())).await;
        }
    })
    .await;
}

#[tokio::test]
async fn j09_issuer_audience_role_and_owner_must_be_ours() {
    each_app(async |app| {
        let ada = app.customer("ada").await;
        let stranger = kit::clock::new_id();
        for (name, value) in [
            ("iss", json!("someone")),
            ("iss", json!(["storehouse"])),
            ("aud", json!("someone")),
            ("aud", json!(["storehouse"])),
            ("aud", json!(["someone", "storehouse"])),
            ("role", json!("admin")),
            ("role", json!("root")),
            ("sub", json!(stranger)),
            ("sid", json!(stranger)),
        ] {
            refused_claims(&ada, name, &value.to_string()).await;
        }
    })
    .await;
}

#[tokio::test]
async fn j11_hostile_shapes_are_refused() {
    each_app(async |app| {
        let ada = app.customer("ada").await;
        let payload = claims(&ada).to_string();
        let token = ada.token.clone().unwrap();
        let parts: Vec<&str> = token.split('.').collect();
        let twice = payload.replacen('{', "{\"role\":\"admin\",", 1);
        let deep = payload.replacen('{', &format!("{{\"x\":{}{},", "[".repeat(200), "]".repeat(200)), 1);
        let many: String = (0..10_000).map(|number| format!("\"c{number}\":1,")).collect();
        let critical = json!({"typ": "JWT", "alg": "HS256", "crit": ["exp"]}).to_string();
        let general = json!({"payload": parts[1], "protected": parts[0], "signature": parts[2]}).to_string();
        for hostile in [
            signed(HS256, &twice),
            signed_with("wrong", HS256, &deep),
            signed_with("wrong", HS256, &payload.replacen('{', &format!("{{{many}"), 1)),
            signed(&critical, &payload),
            signed(HS256, "[]"),
            signed(HS256, ""),
            signed("{}", &payload),
            general,
            "A".repeat(1_000_000),
            ".".repeat(1000),
            "..".to_owned(),
            format!("{{{token}}}"),
            format!("{} {}", parts[0], parts[1]),
            format!("{token}.{}", parts[2]),
        ] {
            refused(&ada, &hostile).await;
        }
    })
    .await;
}

#[tokio::test]
async fn j16_a_token_stands_in_its_header_only() {
    each_app(async |app| {
        let ada = app.customer("ada").await;
        let token = ada.token.clone().unwrap();
        let nobody = app.nobody();
        for path in [format!("/users/me?token={token}"), format!("/users/me?access_token={token}")] {
            nobody.get(&path).await.problem(401, "missing_token");
        }
        nobody.post("/orders", json!({"access_token": token})).await.problem(401, "missing_token");
        for header in [
            format!("Basic {token}"),
            token.clone(),
            format!("Token {token}"),
            "Bearer".to_owned(),
            "Bearer ".to_owned(),
            String::new(),
        ] {
            let request = nobody.request(Method::GET, "/users/me").header("authorization", &header);
            request.send().await.problem(401, "invalid_token");
        }
        let lower =
            nobody.request(Method::GET, "/users/me").header("authorization", &format!("bearer {token}"));
        lower.send().await.expect(200);
        let both = ada.request(Method::GET, "/users/me").header("authorization", &format!("Bearer {token}"));
        both.send().await.expect(400);
        check_cookie(app, &token).await;
    })
    .await;
}

async fn check_cookie(app: &App, token: &str) {
    let cookie = format!("token={token}; access_token={token}");
    let nobody = app.nobody();
    nobody
        .request(Method::GET, "/users/me")
        .header("cookie", &cookie)
        .send()
        .await
        .problem(401, "missing_token");
}

const HS256: &str = r#"{"typ":"JWT","alg":"HS256"}"#;

/// The claims of somebody's own token.
fn claims(client: &Client<'_>) -> Value {
    let token = client.token.as_ref().unwrap();
    serde_json::from_slice(&from_base64(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

fn unsigned(header: &str, payload: &str) -> String {
    format!("{}.{}", to_base64(header.as_bytes()), to_base64(payload.as_bytes()))
}

fn signed(header: &str, payload: &str) -> String {
    signed_with(SECRET, header, payload)
}

fn signed_with(key: &str, header: &str, payload: &str) -> String {
    let text = unsigned(header, payload);
    let code = mac::<Hmac<Sha256>>(key.as_bytes(), &text);
    format!("{text}.{}", to_base64(&code))
}

fn mac<M: Mac + KeyInit>(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = <M as KeyInit>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// The same bytes with other bits after the last.
fn tail_spellings(token: &str) -> Vec<String> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (start, last) = token.split_at(token.len() - 1);
    let index = ALPHABET.iter().position(|letter| *letter == last.as_bytes()[0]).unwrap();
    (1..4).map(|tail| format!("{start}{}", char::from(ALPHABET[index ^ tail]))).collect()
}

/// Signs claims of which one is another (its value as JSON), and expects a refusal.
async fn refused_claims(client: &Client<'_>, name: &str, value: &str) {
    let mut changed = claims(client);
    changed[name] = "CHANGED".into();
    let payload = changed.to_string().replace("\"CHANGED\"", value);
    refused(client, &signed(HS256, &payload)).await;
}

async fn refused_unsigned(client: &Client<'_>, header: &str, payload: &str) {
    let text = unsigned(header, payload);
    refused(client, &text).await;
    refused(client, &format!("{text}.")).await;
}

/// 401 at the gateway and at a service's own port.
async fn refused(client: &Client<'_>, token: &str) {
    let bearer = client.with_token(token);
    for service in ["gateway", "users"] {
        let answer = bearer.request(Method::GET, "/users/me").to(service).send().await;
        assert_eq!(answer.status, 401, "{service}: {}", &token[..token.len().min(300)]);
    }
}
