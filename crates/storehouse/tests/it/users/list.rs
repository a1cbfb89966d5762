//! `GET /users`

use serde_json::json;

use crate::harness::{Client, each_app};

#[tokio::test]
async fn staff_find_users_by_words_without_case_and_accents() {
    each_app(async |app| {
        let (admin, staff) = (app.admin("root").await, app.staff("staff").await);
        for (username, full_name) in [
            ("zoé", "Zoé Müller"),
            ("anna", "Anna Åström"),
            ("jose.maria", "José María O'Neill"),
            ("percent", "100% _under_"),
        ] {
            let email = format!("{}@mail.example", username.replace('é', "e"));
            admin
                .post("/users", json!({"email": email, "username": username, "full_name": full_name}))
                .await
                .expect(201);
        }
        for (query, expected) in [
            ("zoe", vec!["zoé"]),
            ("MULLER", vec!["zoé"]),
            ("m%C3%BCl%20ZO", vec!["zoé"]),
            ("astrom%20anna", vec!["anna"]),
            ("strom", vec![]),
            ("maria%20jose", vec!["jose.maria"]),
            ("neill", vec!["jose.maria"]),
            ("mail.example", vec!["percent", "jose.maria", "anna", "zoé"]),
            ("100%25", vec!["percent"]),
            ("'%20OR%201=1", vec![]),
            ("anna%20zoe", vec![]),
        ] {
            assert_eq!(usernames(&staff, &format!("/users?q={query}")).await, expected, "{query}");
        }
        assert_eq!(usernames(&staff, "/users?q=%25").await.len(), 6, "no word, no filter");
    })
    .await;
}

#[tokio::test]
async fn the_list_is_filtered_by_role_and_sorted_both_ways() {
    each_app(async |app| {
        app.admin("root").await;
        let staff = app.staff("mid").await;
        for name in ["beta", "Alpha", "gamma_x", "gamma-x"] {
            app.customer(name).await;
        }
        assert_eq!(usernames(&staff, "/users?role=admin").await, ["root"]);
        assert_eq!(usernames(&staff, "/users?role=staff").await, ["mid"]);
        assert_eq!(usernames(&staff, "/users?role=customer").await, ["gamma-x", "gamma_x", "Alpha", "beta"]);
        assert_eq!(
            usernames(&staff, "/users?role=customer&sort=created_at").await,
            ["beta", "Alpha", "gamma_x", "gamma-x"]
        );
        let by_email = ["Alpha", "beta", "gamma-x", "gamma_x", "mid", "root"];
        assert_eq!(usernames(&staff, "/users?sort=email").await, by_email);
        let mut backwards = by_email;
        backwards.reverse();
        assert_eq!(usernames(&staff, "/users?sort=-email").await, backwards);
        staff.get("/users?role=root").await.problem(400, "invalid_parameter");
        staff.get("/users?sort=password_hash").await.problem(400, "invalid_parameter");
    })
    .await;
}

/// That no answer of any test holds a hash or a secret is looked at by the harness.
#[tokio::test]
async fn z05_a_list_shows_its_fields_and_no_others() {
    each_app(async |app| {
        let admin = app.admin("root").await;
        let shown = admin.get("/users").await.expect(200).json()["items"][0].clone();
        let mut fields: Vec<&str> = shown.as_object().unwrap().keys().map(String::as_str).collect();
        fields.sort_unstable();
        let known = [
            "address",
            "created_at",
            "disabled",
            "email",
            "email_verified",
            "full_name",
            "id",
            "phone",
            "preferences",
            "role",
            "updated_at",
            "username",
            "version",
        ];
        assert_eq!(fields, known);
        for query in [
            "fields=*",
            "sort=password_hash",
            "sort=email_key",
            "filter=token~",
            "expand=sessions",
            "include=password_hash",
        ] {
            for list in ["/users", "/orders", "/products", "/auth/sessions", "/webhooks"] {
                admin.get(&format!("{list}?{query}")).await.problem(400, "invalid_parameter");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn customers_have_no_list() {
    each_app(async |app| {
        app.customer("ada").await.get("/users").await.problem(403, "forbidden");
        app.customer("bob").await.get("/users?limit=x").await.problem(403, "forbidden");
    })
    .await;
}

async fn usernames(client: &Client<'_>, address: &str) -> Vec<String> {
    let page = client.get(address).await.expect(200).json();
    page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| user["username"].as_str().unwrap().to_owned())
        .collect()
}
