//! `storehouse import` and `storehouse export`.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::process::{Output, Stdio};

use super::commands::said;
use crate::harness::{Site, each_engine};

#[tokio::test]
async fn files_go_in_and_out_without_a_server() {
    each_engine(&[], async |database| {
        let site = Site::new(Some(database.url()));
        let refusal = site.refusal(&["export", "products", "x.csv"]);
        assert!(refusal.contains("storehouse migrate"), "{refusal}");
        said(&site.run(&["migrate"]));
        let path = |name: &str| site.path(name).to_str().unwrap().to_owned();
        let (file, out) = (path("products.csv"), path("out.csv"));
        fs::write(&file, "sku,name,unit_price,category\nL-1,=Lamp,1,Lamps\nL-2,Lamp,2,lamps\n").unwrap();
        let dry = said(&site.run(&["import", "products", &file, "--dry-run"]));
        assert_eq!(dry, "Products: 2 new, 0 changed, 0 as they were; rows: 2. New categories: 1. It was a dry run: nothing was stored.\n");
        let made = site.run(&["import", "products", &file]);
        assert_eq!(said(&made), "Products: 2 new, 0 changed, 0 as they were; rows: 2. New categories: 1.\n");
        // What is done soon says nothing of how far it is.
        assert_eq!(String::from_utf8(made.stderr).unwrap(), "");
        said(&site.run(&["export", "products", &out]));
        let first = fs::read_to_string(&out).unwrap();
        assert!(first.starts_with("sku,name,") && first.contains("L-1,'=Lamp,"), "{first}");
        assert!(!site.path("out.csv.partial").exists());
        assert!(site.refusal(&["export", "stock", &out]).contains("--force"));
        assert_eq!(fs::read_to_string(&out).unwrap(), first);
        said(&site.run(&["export", "products", "--force", &out]));
        assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(said(&site.run(&["import", "products", &out])), "Products: 0 new, 0 changed, 2 as they were; rows: 2.\n");
        assert_eq!(said(&site.run(&["export", "products", "-"])), first);
        fs::write(&file, "sku,on_hand\nL-1,5\nL-3,1\nL-2,x\n").unwrap();
        let refused = site.run(&["import", "stock", &file]);
        assert_eq!(refused.status.code(), Some(1));
        let lines = String::from_utf8(refused.stderr).unwrap();
        for line in [
            "row 3, column sku: is no product's (unknown_product)\n",
            "row 4, column on_hand: must be a whole number from 0 to 1000000000 (invalid_quantity)\n",
            "storehouse: nothing was imported: the file has 2 errors\n",
        ] {
            assert!(lines.contains(line), "{line} is not in {lines}");
        }
        fs::write(&file, "sku,on_hand\nL-1,5\n").unwrap();
        assert_eq!(said(&site.run(&["import", "stock", &file])), "Levels: 0 new, 1 changed, 0 as they were; rows: 1.\n");
        for (what, expected) in [("stock", "L-1,MAIN,5"), ("movements", ",L-1,MAIN,count,5,0,0,5,0,"), ("orders", "number,id,")] {
            assert!(said(&site.run(&["export", what, "-"])).contains(expected), "{what}");
        }
        if let Some(own) = database.url().strip_prefix("sqlite:") {
            for own in [own.to_owned(), format!("{own}-wal")] {
                assert!(site.refusal(&["export", "stock", &own]).contains("belongs to the database"), "{own}");
                let line = site.refusal(&["backup", "--force", &own]);
                assert!(line.contains("belongs to the database"), "{line}");
            }
        }
        let nowhere = site.refusal(&["export", "stock", &path("no/such/folder.csv")]);
        assert!(nowhere.contains("can't write"), "{nowhere}");
        assert!(site.refusal(&["import", "stock", &path("no-such.csv")]).contains("can't read"));
        assert!(site.refusal(&["import", "stock", &file, "--charset", "koi8-r"]).contains("--charset must be"));
        assert!(said(&site.run(&["verify"])).ends_with("Products: 2, orders: 0, differences: 0.\n"));
    })
    .await;
}

/// Runs a command with this on its standard input.
fn fed(site: &Site, arguments: &[&str], input: &str) -> Output {
    let mut command = site.command(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn a_dash_is_standard_input_or_output_wherever_a_stream_can_be() {
    let site = Site::new(None);
    said(&site.run(&["migrate"]));
    let file = "sku,name,unit_price\nL-1,Lamp,1\n";
    let made = said(&fed(&site, &["import", "products", "-"], file));
    assert_eq!(made, "Products: 1 new, 0 changed, 0 as they were; rows: 1.\n");
    let exported = said(&site.run(&["export", "products", "-"]));
    let again = said(&fed(&site, &["import", "products", "-"], &exported));
    assert_eq!(again, "Products: 0 new, 0 changed, 1 as they were; rows: 1.\n");
    let empty = fed(&site, &["import", "products", "-"], "");
    let told = String::from_utf8(empty.stderr).unwrap();
    assert!(told.contains("nothing was imported: The file is empty"), "{told}");
    let utf_16 = fed(&site, &["import", "products", "-", "--charset", "utf-16"], file);
    assert!(String::from_utf8(utf_16.stderr).unwrap().contains("doesn't begin with a mark (BOM)"));
    for command in [&["backup", "-"][..], &["backup", "--force", "-"], &["restore", "-"]] {
        assert!(site.refusal(command).contains("a backup is a file"), "{command:?}");
    }
    assert!(!site.path("-").exists() && !site.path("-.unfinished").exists());
    let routes = "routes:\n  - {path: /orders, backend: 'http://a:1', methods: [GET]}\n";
    assert!(said(&fed(&site, &["check", "-"], routes)).starts_with("standard input is good:\n/orders "));
    let refused = fed(&site, &["check", "-"], "routes: nonsense\n");
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(told.contains("standard input:1:"), "{told}");
}
