use std::fs;

use super::table::{Kind, TABLE};
use super::*;

fn read(environment: &[(&str, &str)]) -> Result<Settings> {
    read_with(None, &Part::ALL, environment)
}

fn read_with(config: Option<&Path>, parts: &[Part], environment: &[(&str, &str)]) -> Result<Settings> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("empty.toml");
    fs::write(&file, "")?;
    Settings::read(config.or(Some(&file)), parts, |name| {
        environment.iter().find(|(known, _)| *known == name).map(|(_, text)| text.into())
    })
}

fn refusal(environment: &[(&str, &str)]) -> String {
    let error = format!("{:#}", read(environment).err().expect("refused"));
    assert!(!error.contains('\n'), "{error}");
    error
}

const GOOD_SECRET: &str = "2c7d1b6f0e9a48539d1e7c3b5a0f8264e1d9c7b5a3f10826";

#[test]
fn nothing_set_is_development_on_loopback() {
    let settings = read(&[]).unwrap();
    assert_eq!(settings.environment, Environment::Development);
    assert_eq!(settings.listen.gateway.to_string(), "127.0.0.1:8000");
    assert_eq!(settings.listen.orders.to_string(), "127.0.0.1:8082");
    assert_eq!(settings.database_url.to_string(), "sqlite:./data/storehouse.db");
    assert_eq!(settings.gateway.cors_origins, ["http://localhost:*"]);
    assert!(settings.docs && settings.gateway.rate_limit && !settings.passwords.denylist);
    assert_eq!(settings.passwords.hash, PasswordHash::Argon2id);
    assert_eq!((settings.orders.currency.code(), settings.orders.max_pending), ("USD", 100));
    assert_eq!(settings.gateway.routes_file, None);
}

#[test]
fn g03_production_opens_the_gateway_alone_and_closes_the_docs() {
    let settings = read(&[("ENVIRONMENT", "production"), ("JWT_SECRET", GOOD_SECRET)]).unwrap();
    assert_eq!(settings.listen.gateway.to_string(), "0.0.0.0:8000");
    assert_eq!(settings.listen.auth.to_string(), "127.0.0.1:8083");
    assert!(!settings.docs && settings.passwords.denylist && settings.gateway.cors_origins.is_empty());
    assert_eq!(settings.signing_secret().unwrap().expose(), GOOD_SECRET);
}

#[test]
fn port_is_the_gateways_or_the_one_services() {
    let listen =
        |parts: &[Part], environment: &[(&str, &str)]| read_with(None, parts, environment).unwrap().listen;
    assert_eq!(listen(&Part::ALL, &[("PORT", "9000")]).gateway.port(), 9000);
    assert_eq!(listen(&Part::ALL, &[("PORT", "9000")]).auth.port(), 8083);
    assert_eq!(listen(&Part::ALL, &[("PORT", "9000"), ("GATEWAY_PORT", "9001")]).gateway.port(), 9001);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.toml");
    fs::write(&file, "gateway_port = 9001").unwrap();
    let from_file = read_with(Some(&file), &Part::ALL, &[("PORT", "9000")]).unwrap().listen;
    assert_eq!(from_file.gateway.port(), 9000, "the environment wins over the file");
    let alone = listen(&[Part::Auth], &[("PORT", "8000"), ("HOST", "0.0.0.0")]);
    assert_eq!(alone.auth.to_string(), "0.0.0.0:8000");
    assert_eq!(alone.gateway.to_string(), "127.0.0.1:8000");
}

#[test]
fn a_shared_port_is_refused() {
    let error = refusal(&[("PORT", "8082")]);
    assert!(error.starts_with("PORT is 8082") && error.contains("`storehouse serve orders`"), "{error}");
    assert!(!error.contains("GATEWAY_PORT"), "{error}");
    for environment in [[("GATEWAY_PORT", "8082"), ("PORT", "1")], [("USERS_PORT", "8082"), ("PORT", "1")]] {
        let error = refusal(&environment);
        assert!(error.contains("_PORT and ORDERS_PORT are both 8082"), "{error}");
    }
    assert!(read(&[("GATEWAY_PORT", "0"), ("AUTH_PORT", "0")]).is_ok());
}

#[test]
fn what_starts_it_on_the_same_data_is_what_a_shell_takes() {
    let command = |environment: &[(&str, &str)]| {
        let command = read_with(None, &Part::ALL, environment).unwrap().serve_command();
        // The tests' own settings file, in a folder of any name, sets nothing.
        command.split(" --config ").next().unwrap().trim_end_matches(" serve").to_owned()
    };
    assert_eq!(command(&[]), "storehouse");
    assert_eq!(command(&[("DATA_DIR", "/tmp/demo")]), "DATA_DIR=/tmp/demo storehouse");
    assert_eq!(command(&[("DATA_DIR", "it's")]), r"DATA_DIR='it'\''s' storehouse");
    let shown = command(&[("DATABASE_URL", "postgres://me:hunter2@db/store")]);
    assert_eq!(shown, "DATABASE_URL='postgres://me:********@db/store' storehouse");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.toml");
    fs::write(&file, "data_dir = \"/tmp/demo\"").unwrap();
    let command = read_with(Some(&file), &Part::ALL, &[]).unwrap().serve_command();
    assert_eq!(command, format!("storehouse --config {} serve", file.display()));
}

#[test]
fn the_database_lies_in_the_data_folder() {
    assert_eq!(
        read(&[("DATA_DIR", "/srv/store/")]).unwrap().database_url.to_string(),
        "sqlite:/srv/store/storehouse.db"
    );
    assert_eq!(read(&[("DATABASE_URL", "auth.db")]).unwrap().database_url.to_string(), "sqlite:auth.db");
}

#[test]
fn every_setting_is_read_and_says_what_is_valid() {
    let any_text =
        ["BACKUP_FOLDER", "DATA_DIR", "JWT_SECRET", "METRICS_TOKEN", "OUTGOING_CA_FILE", "ROUTES_FILE"];
    for setting in TABLE.iter().filter(|setting| !any_text.contains(&setting.name)) {
        let error = refusal(&[(setting.name, "nonsense://?!")]);
        assert!(error.starts_with(setting.name) && error.contains(setting.valid), "{error}");
        assert_eq!(error.contains("nonsense"), setting.kind != Kind::Secret, "{error}");
        assert!(error.contains("from the environment"), "{error}");
    }
}

#[test]
fn a_bearer_token_is_one_word_and_never_shown() {
    let error = refusal(&[("METRICS_TOKEN", "hunter2 hunter3")]);
    assert!(error.contains("METRICS_TOKEN") && !error.contains("hunter"), "{error}");
    let settings = read(&[("METRICS_TOKEN", "hunter2")]).unwrap();
    assert!(!settings.to_toml().contains("hunter2"));
    assert_eq!(settings.metrics_token.unwrap().expose(), "hunter2");
}

#[test]
fn mails_need_a_server_in_production_and_somebody_whom_they_come_from() {
    let production = [("ENVIRONMENT", "production"), ("JWT_SECRET", GOOD_SECRET)];
    let with = |more: &[(&'static str, &'static str)]| [production.as_slice(), more].concat();
    let (server, from) =
        (("SMTP_URL", "smtps://app:hunter2@mail.example.com"), ("MAIL_FROM", "Us <us@example.com>"));
    let told = ("LOW_STOCK_EMAILS", "ada@example.com, bob@example.com");
    assert!(refusal(&with(&[told])).contains("SMTP_URL"));
    assert!(refusal(&with(&[server])).contains("MAIL_FROM"));
    for bad in ["smtps://app:hunter2@", "smtp://app:hunter2@mail.example.com", "app:hunter2@mail.example.com"]
    {
        let error = refusal(&with(&[("SMTP_URL", bad), from]));
        assert!(
            error.starts_with("SMTP_URL (from the environment) must be ") && !error.contains("hunter2"),
            "{error}"
        );
    }
    assert!(refusal(&[("LOW_STOCK_EMAILS", "ada@example.com, bob")]).contains("bob"));
    assert!(refusal(&with(&[server, from, ("PUBLIC_URL", "http://shop.example.com")])).contains("https"));
    let settings = read(&with(&[server, from, told, ("PUBLIC_URL", "https://shop.example.com")])).unwrap();
    assert!(!settings.to_toml().contains("hunter2") && settings.to_toml().contains("ada@example.com"));
    let mail = settings.mail;
    assert_eq!((mail.smtp.unwrap().host(), mail.low_stock_to.len()), ("mail.example.com", 2));
    let development = read(&[told]).unwrap().mail;
    assert!(development.smtp.is_none() && development.from.is_some());
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let all: Vec<_> = TABLE.iter().map(|setting| (setting.name, " ")).collect();
    assert_eq!(read(&all).unwrap().listen.gateway.port(), 8000);
}

#[test]
fn d01_what_is_unsafe_is_refused_in_production() {
    assert!(refusal(&[("ENVIRONMENT", "production"), ("RATE_LIMIT", "off")]).contains("RATE_LIMIT"));
    for secret in ["", "short", "your-secret-key-change-in-production"] {
        let settings = read(&[("ENVIRONMENT", "production"), ("JWT_SECRET", secret)]).unwrap();
        let error = settings.signing_secret().unwrap_err().to_string();
        assert!(error.contains("JWT_SECRET") && error.contains("openssl rand -hex 32"), "{error}");
        assert!(secret.is_empty() || !error.contains(secret), "{error}");
    }
    assert!(refusal(&[("DATABASE_URL", "mysql://app:hunter2@db/x")]).contains("mysql://app:********@db/x"));
}

#[test]
fn development_makes_a_secret_once() {
    let folder = tempfile::tempdir().unwrap();
    let environment = [("DATA_DIR", folder.path().to_str().unwrap())];
    let first = read(&environment).unwrap().signing_secret().unwrap();
    assert_eq!(read(&environment).unwrap().signing_secret().unwrap(), first);
    assert_eq!(first.expose().len(), 64);
}

#[test]
fn a_file_sets_and_the_environment_wins() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.toml");
    fs::write(&file, "gateway_port = 9000\nauth_port = \"9001\"\ndocs = false\ntrusted_proxies = [\"10.0.0.0/8\", \"::1\"]\n").unwrap();
    let settings = read_with(Some(&file), &Part::ALL, &[("AUTH_PORT", "9002")]).unwrap();
    assert_eq!(settings.listen.gateway.port(), 9000);
    assert_eq!(settings.listen.auth.port(), 9002);
    assert_eq!(settings.gateway.trusted_proxies.len(), 2);
    assert!(!settings.docs);
}

#[test]
fn a_file_with_a_fault_is_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.toml");
    for (text, wanted) in [
        ("gatway_port = 9000", "\"gateway_port\""),
        ("docs = true\nport = = 1", "line 2"),
        ("port = 1.5", "port must be a text"),
        ("[gateway]\nport = 1", "unknown key"),
        ("gateway_port = 99999", "99999"),
    ] {
        fs::write(&file, text).unwrap();
        let error = format!("{:#}", read_with(Some(&file), &Part::ALL, &[]).err().unwrap());
        assert!(error.contains(wanted) && error.contains("store.toml") && !error.contains('\n'), "{error}");
    }
    assert!(read_with(Some(&folder.path().join("missing.toml")), &Part::ALL, &[]).is_err());
}

#[test]
fn what_is_printed_can_be_read_again_and_tells_no_secret() {
    let environment = [
        ("JWT_SECRET", GOOD_SECRET),
        ("DATABASE_URL", "postgres://app:hunter2@db/store"),
        ("REDIS_URL", "redis://cache"),
        ("DATA_DIR", "./da\"ta\\ #x"),
        ("CORS_ORIGINS", "https://a.example, https://b.example"),
        ("DOCS", "no"),
        ("PORT", "9000"),
    ];
    let printed = read(&environment).unwrap().to_toml();
    assert!(!printed.contains(GOOD_SECRET) && !printed.contains("hunter2"), "{printed}");
    assert!(printed.contains("\ndocs = false  # from the environment\n"), "{printed}");
    assert!(TABLE.iter().all(|setting| printed.contains(&format!("{} = ", setting.key()))));

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("printed.toml");
    fs::write(&file, &printed).unwrap();
    let again = read_with(Some(&file), &Part::ALL, &[]).unwrap();
    assert_eq!((again.listen.gateway.port(), again.listen.auth.port()), (9000, 8083));
    assert_eq!(again.data_dir, Path::new("./da\"ta\\ #x"));
    assert_eq!(again.gateway.cors_origins, ["https://a.example", "https://b.example"]);
    assert!(!again.docs);
}
