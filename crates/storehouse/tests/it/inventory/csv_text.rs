//! Which text a CSV file may be, and what is no CSV.

use http::Method;
use serde_json::json;

use super::csv::import;
use crate::contract::dump::dump;
use crate::harness::each_app;

#[tokio::test]
async fn files_are_read_as_spreadsheets_write_them() {
    each_app(async |app| {
        let staff = app.staff("staff").await;
        let text = "sku;name;unit_price\r\nL-1;Größe \"\"\"ö\"\"\";1234,50\r\n"
            .replace("Größe \"\"\"ö\"\"\"", "\"Größe \"\"ö\"\"\r\n2\"");
        let utf_16 = |bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
            format!("\u{feff}{text}").encode_utf16().flat_map(bytes).collect()
        };
        let windows: Vec<u8> =
            text.chars().map(|character| u8::try_from(u32::from(character)).unwrap()).collect();
        let files: [(&str, Vec<u8>); 7] = [
            ("text/csv", text.clone().into_bytes()),
            ("text/csv; charset=windows-1252", format!("\u{feff}{text}").into_bytes()),
            ("text/csv", utf_16(u16::to_le_bytes)),
            ("text/csv; charset=utf-16", utf_16(u16::to_be_bytes)),
            ("text/csv; charset=windows-1252; header=present", windows.clone()),
            ("Text/CSV", text.replace(';', "\t").replace(',', ".").into_bytes()),
            ("text/csv", format!("sep=;\r\n{text}").into_bytes()),
        ];
        for (content_type, file) in files {
            let answer = staff.request(Method::POST, "/products/import").raw(content_type, file).send().await;
            answer.expect(200);
            let shown = staff.get("/products/by-sku/l-1").await.expect(200).json();
            assert_eq!(
                (&shown["name"], &shown["unit_price"]),
                (&json!("Größe \"ö\"\r\n2"), &json!(1234.5)),
                "{content_type}"
            );
            staff.delete(&format!("/products/{}", shown["id"].as_str().unwrap())).await.expect(204);
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_no_csv_or_no_text_is_refused_in_words_that_help() {
    each_app(async |app| {
        let (staff, text) = (app.staff("staff").await, "sku;name;unit_price\r\nL-1;Lamp;1234,50\r\n");
        let before = dump(&app.db).await;
        import(&staff, "/products/import", &b"sku,name\nL-1,Gr\xf6\xdfe\n"[..]).await.problem(400, "malformed_csv");
        import(&staff, "/products/import", "sku,name\n\"L-1,Lamp\nL-2,Lamp\n")
            .await
            .problem(400, "malformed_csv");
        for (file, told) in [
            (&b""[..], "The file is empty: its first row must name the columns."),
            (b"\xef\xbb\xbf\r\n", "The file is empty: its first row must name the columns."),
            (
                b"sku,name\nL-1,\"Lamp\"s\n",
                "In row 2, column name, text stands behind the closing quote.",
            ),
            (b"sku,name\rL-1,Lamp\r", "In row 1, column name, a CR stands alone, without its LF."),
            (
                b"\xff\xfes\0k\0u\0\n",
                "The file isn't UTF-16LE throughout: its mark (BOM) says that it is, so it may be cut off or damaged; save it anew, as UTF-8.",
            ),
        ] {
            let refused = import(&staff, "/products/import", file).await.problem(400, "malformed_csv");
            assert_eq!(refused.json()["detail"], told);
        }
        let cell = import(&staff, "/products/import", "sku,attributes\nL-1,{\n").await;
        let fault = cell.problem(422, "validation_failed").json()["errors"][0].clone();
        assert_eq!(fault["message"], "is not valid JSON: see line 1, column 1");
        for content_type in ["application/json", "text/plain", "text/csv; charset=koi8-r", "text/csv; charset=\"UTF-16\"", ""] {
            let answer =
                staff.request(Method::POST, "/products/import").raw(content_type, text).send().await;
            answer.problem(415, "unsupported_media_type");
        }
        assert_eq!(dump(&app.db).await, before);
    })
    .await;
}
