//! Addresses, and what is shown of them.

use ::db::DatabaseUrl;

#[test]
fn an_address_is_a_path_or_a_server() {
    let cases = [
        ("./data/storehouse.db", "sqlite:./data/storehouse.db"),
        ("sqlite:data/a b.db", "sqlite:data/a b.db"),
        ("sqlite:///var/lib/storehouse.db", "sqlite:/var/lib/storehouse.db"),
        ("postgres://me@db.example/shop", "postgres://me@db.example:5432/shop"),
        ("postgresql://me:s3cret@db.example:6543/shop", "postgres://me:***@db.example:6543/shop"),
    ];
    for (text, shown) in cases {
        let url: DatabaseUrl = text.parse().unwrap();
        assert_eq!(url.to_string(), shown);
        assert!(!format!("{url:?}").contains("s3cret"));
    }
}

#[test]
fn other_addresses_are_refused_without_their_secrets() {
    let wrong = [
        "",
        "sqlite:",
        ":memory:",
        "sqlite::memory:",
        "sqlite://x.db?mode=rwc",
        "mysql://me:s3cret@db.example/shop",
        "postgres://me:s3cret@db.example:port/shop",
        "postgres://me@db.example/shop?s3cret=1",
    ];
    for text in wrong {
        let refused = text.parse::<DatabaseUrl>().unwrap_err();
        assert!(!refused.contains("s3cret"), "{refused}");
    }
}
