//! Containers, units and monitoring: files that no compiler reads, held to what the program offers.

/// What Prometheus is asked, and whether the program answers it.
mod expressions;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::harness::Site;

/// What `serve` can run apart, in the order in which Prometheus asks them.
const PARTS: &[&str] = &["gateway", "auth", "users", "orders", "inventory"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&text(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The entries of a mapping; none where it is missing.
fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// The texts of a sequence; none where it is missing.
fn texts(value: &Value) -> Vec<&str> {
    let items = value.as_array().into_iter().flatten();
    items.map(|item| item.as_str().unwrap_or_else(|| panic!("no text: {item}"))).collect()
}

/// Every setting with its default, from the list that a test of the settings compares with their table.
fn settings() -> BTreeMap<String, String> {
    let list = text(".env.example");
    let lines = list.lines().filter_map(|line| line.strip_prefix('#')?.split_once('='));
    let is_name = |name: &str| name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    lines
        .filter(|(name, _)| is_name(name))
        .map(|(name, default)| (name.to_owned(), default.to_owned()))
        .collect()
}

#[track_caller]
fn is_setting(name: &str, place: &str) {
    assert!(settings().contains_key(name), "{place}: the program has no setting {name}");
}

fn port_of(part: &str) -> String {
    settings()[&format!("{}_PORT", part.to_uppercase())].clone()
}

/// Whether the program takes these arguments.
fn takes(arguments: &[&str]) -> bool {
    let asked = [arguments, &["--help"]].concat();
    Site::new(None).run(&asked).status.success()
}

#[track_caller]
fn exists(path: &str, place: &str) {
    assert!(root().join(path).exists(), "{place} names {path}, which is not there");
}

/// The instructions of the Dockerfile, continued lines joined, without flags such as `--from`.
fn instructions() -> Vec<(String, String)> {
    let file = text("Dockerfile");
    let lines = file.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let joined = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let split = joined.lines().map(|line| line.split_once(' ').unwrap());
    split.map(|(name, rest)| (name.to_owned(), rest.trim().to_owned())).collect()
}

/// What follows the last `FROM`, by instruction.
fn image(instruction: &str) -> Vec<String> {
    let all = instructions();
    let last = all.iter().rposition(|(name, _)| name == "FROM").unwrap();
    let stage = all[last..].iter().filter(|(name, _)| name == instruction);
    stage.map(|(_, rest)| rest.clone()).collect()
}

fn list(json: &str) -> Vec<String> {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{json}: {error}"))
}

#[test]
fn the_image_runs_the_program_without_root_and_without_a_secret() {
    for pair in image("ENV").iter().flat_map(|line| line.split_whitespace()) {
        let (name, value) = pair.split_once('=').unwrap();
        is_setting(name, "Dockerfile");
        assert!(
            !name.contains("SECRET") && !name.contains("TOKEN"),
            "an image is no place for {name}={value}"
        );
    }
    let ports = image("EXPOSE").join(" ");
    let expected: BTreeSet<String> = PARTS.iter().map(|part| port_of(part)).collect();
    assert_eq!(ports.split(' ').map(str::to_owned).collect::<BTreeSet<_>>(), expected);
    assert!(image("USER")[0].split(':').all(|id| id.parse::<u32>().unwrap() > 0));
    let (entry, command) = (list(&image("ENTRYPOINT")[0]), list(&image("CMD")[0]));
    let health = image("HEALTHCHECK")[0].split_once("CMD ").map(|(_, command)| list(command)).unwrap();
    assert_eq!((entry[0].as_str(), health[0].as_str()), ("storehouse", "storehouse"));
    for arguments in [&[&entry[1..], &command].concat(), &health[1..]] {
        assert!(takes(&arguments.iter().map(String::as_str).collect::<Vec<_>>()), "{arguments:?}");
    }
    assert_eq!(image("VOLUME"), ["/data"]);
}

/// A backup by another version than the server's may be refused, and one made elsewhere can't be restored here.
#[test]
fn the_image_can_back_up_the_database_beside_it() {
    let compose = compose();
    let server = compose["services"]["postgres"]["image"].as_str().unwrap();
    let stages: Vec<(String, String)> = instructions();
    let stage =
        stages.iter().position(|(name, rest)| name == "FROM" && *rest == format!("{server} AS postgres"));
    let (_, run) = &stages[stage.unwrap_or_else(|| panic!("no stage is from {server}")) + 1];
    let version = server.split([':', '-']).nth(1).unwrap();
    for program in ["pg_dump", "pg_restore"] {
        assert!(run.contains(&format!("/usr/lib/postgresql/{version}/bin/{program} ")), "{run}");
    }
    let copies = image("COPY");
    for copy in ["--from=postgres /out/bin /usr/local/bin", "--from=postgres /out/lib /usr/lib"] {
        assert!(copies.iter().any(|line| line == copy), "{copies:?}");
    }
}

#[test]
fn arguments_that_nobody_takes_are_found() {
    assert!(!takes(&["srve"]) && !takes(&["serve", "warehouse"]) && takes(&["migrate"]));
}

#[test]
fn all_that_the_build_needs_is_given_to_it() {
    let ignored = text(".dockerignore");
    let sent: Vec<&str> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    assert!(ignored.lines().any(|line| line == "*"), "what is not named is left out");
    let copies = instructions().into_iter().filter(|(name, rest)| name == "COPY" && !rest.contains("--from"));
    let mut copied = Vec::new();
    for (_, rest) in copies {
        let words: Vec<String> = rest.split(' ').map(str::to_owned).collect();
        copied.extend_from_slice(&words[..words.len() - 1]);
    }
    assert_eq!(copied, sent);
    for path in &copied {
        exists(path, "Dockerfile");
    }
    for path in included(&root().join("crates")) {
        assert!(path.starts_with(root().join("crates")), "the image lacks {}", path.display());
    }
}

/// The files that shipped code takes in while it is compiled.
fn included(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.ends_with("tests") || entry.ends_with("tests.rs") {
            continue;
        }
        if entry.is_dir() {
            found.extend(included(&entry));
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&entry).unwrap();
            let shipped = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let names = shipped.split("include_").skip(1).filter_map(|rest| {
                rest.split_once("!(\"").filter(|(kind, _)| kind.len() < 6)?.1.split('"').next()
            });
            found.extend(names.map(|name| folder.join(name).canonicalize().unwrap()));
        }
    }
    found
}

fn compose() -> Value {
    yaml("docker-compose.yml")
}

/// The container's side and the host's of the one published port.
fn published(service: &Value) -> (&str, &str) {
    let ports = texts(&service["ports"]);
    assert_eq!(ports.len(), 1, "{ports:?}");
    ports[0].rsplit_once(':').map(|(host, container)| (container, host)).unwrap()
}

#[test]
fn each_part_of_the_compose_file_is_a_part_of_the_program() {
    let compose = compose();
    for part in PARTS {
        let (service, port) = (&compose["services"][part], port_of(part));
        assert!(service["read_only"].as_bool().unwrap(), "{part}");
        assert_eq!(texts(&service["command"]), ["serve", part]);
        assert!(takes(&["serve", part]), "{part}");
        for (name, _) in entries(&service["environment"]) {
            is_setting(name, part);
        }
        assert_eq!(service["environment"][format!("{}_PORT", part.to_uppercase())], port.as_str());
        let host = match *part {
            "gateway" => "${GATEWAY_PUBLISH:-8000}".to_owned(),
            _ => format!("127.0.0.1:{port}"),
        };
        assert_eq!(published(service), (port.as_str(), host.as_str()), "{part}");
        let check = texts(&service["healthcheck"]["test"]);
        assert_eq!(check[..2], ["CMD", "storehouse"]);
        assert!(takes(&check[2..]), "{check:?}");
        assert_eq!(check[2..], ["health", part]);
    }
}

#[test]
fn the_compose_file_names_what_there_is() {
    let compose = compose();
    for (name, service) in entries(&compose["services"]) {
        for (other, how) in entries(&service["depends_on"]) {
            let other = &compose["services"][other];
            assert!(other.is_object(), "{name} depends on what is not there");
            let wants_health = how["condition"] == "service_healthy";
            assert!(!wants_health || other["healthcheck"].is_object(), "{name} waits for ever");
        }
        for network in texts(&service["networks"]) {
            assert!(compose["networks"].get(network).is_some(), "{name}: {network}");
        }
        for volume in service["volumes"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let source = volume.split(':').next().unwrap();
            match source.strip_prefix("./") {
                Some(path) => exists(path, name),
                None => assert!(compose["volumes"].get(source).is_some(), "{name}: {source}"),
            }
        }
        if !PARTS.contains(&name.as_str()) {
            let own = ["POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD", "METRICS_TOKEN"];
            let is_known = |variable: &str| own.contains(&variable) || variable.starts_with("GF_");
            assert!(entries(&service["environment"]).all(|(variable, _)| is_known(variable)), "{name}");
            assert!(service.get("ports").is_none() || published(service).1.starts_with("127.0.0.1:"));
        }
    }
}

/// A secret is required, and the README's command makes each.
#[test]
fn the_compose_file_has_no_secret_and_the_readme_makes_them() {
    let file = text("docker-compose.yml");
    let required: BTreeSet<&str> = file
        .split("${")
        .skip(1)
        .filter_map(|rest| rest.split('}').next().unwrap().split_once(":?"))
        .map(|(name, message)| {
            assert!(message.contains(&format!("put {name}=")) && message.contains("openssl"), "{message}");
            name
        })
        .collect();
    let readme = text("README.md");
    let made = readme.lines().find_map(|line| line.split_once("for name in ")?.1.split(';').next()).unwrap();
    assert_eq!(made.split(' ').collect::<BTreeSet<_>>(), required);
    for (name, service) in entries(&compose()["services"]) {
        for (variable, value) in entries(&service["environment"]) {
            let is_secret = ["SECRET", "TOKEN", "PASSWORD"].iter().any(|word| variable.contains(word));
            assert!(!is_secret || value.as_str().unwrap().starts_with("${"), "{name}: {variable}");
        }
    }
}

#[test]
fn the_routes_lead_to_the_services_by_name() {
    gateway::Routes::parse(text("deploy/routes.yaml"), "deploy/routes.yaml").unwrap();
    let (shipped, split) = (yaml("routes.yaml"), yaml("deploy/routes.yaml"));
    assert_eq!(split["defaults"], shipped["defaults"]);
    let mut expected = shipped["routes"].clone();
    for route in expected.as_array_mut().unwrap() {
        let backend = route["backend"].as_str().unwrap().to_owned();
        let port = backend.rsplit_once(':').unwrap().1;
        let part = PARTS.iter().find(|part| port_of(part) == port).unwrap();
        route["backend"] = format!("http://{part}:{port}").into();
    }
    assert_eq!(split["routes"], expected);
    let gateway = &compose()["services"]["gateway"];
    let inside = gateway["environment"]["ROUTES_FILE"].as_str().unwrap();
    let mount = Value::from(format!("./deploy/routes.yaml:{inside}:ro"));
    assert!(gateway["volumes"].as_array().unwrap().contains(&mount), "{mount}");
}

#[test]
fn prometheus_asks_every_part_and_knows_the_token() {
    let (config, compose) = (yaml("deploy/prometheus/prometheus.yml"), compose());
    let jobs = config["scrape_configs"].as_array().unwrap();
    let ours = jobs.iter().filter(|job| job["job_name"].as_str().unwrap().starts_with("storehouse"));
    let targets: Vec<&str> = ours.flat_map(|job| texts(&job["static_configs"][0]["targets"])).collect();
    assert_eq!(targets, PARTS.iter().map(|part| format!("{part}:{}", port_of(part))).collect::<Vec<_>>());
    for file in texts(&config["rule_files"]) {
        exists(&format!("deploy/prometheus/{file}"), "prometheus.yml");
    }
    let token = jobs[0]["authorization"]["credentials_file"].as_str().unwrap();
    let prometheus = &compose["services"]["prometheus"];
    assert!(texts(&prometheus["command"])[0].contains(&format!("\"$$METRICS_TOKEN\" > {token} ")));
    assert_eq!(
        prometheus["environment"]["METRICS_TOKEN"],
        compose["services"]["gateway"]["environment"]["METRICS_TOKEN"]
    );
}

/// The rules of all groups.
fn alerts() -> Vec<Value> {
    let groups = yaml("deploy/prometheus/alerts.yml")["groups"].as_array().unwrap().clone();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

#[tokio::test]
async fn alerts_ask_for_what_is_offered_and_say_what_to_do() {
    let offered = expressions::offered().await;
    let tests = text("deploy/prometheus/alerts_test.yml");
    for alert in alerts() {
        let name = alert["alert"].as_str().unwrap();
        offered.check(alert["expr"].as_str().unwrap());
        let severity = alert["labels"]["severity"].as_str().unwrap();
        assert!(["critical", "warning", "info"].contains(&severity), "{name}: {severity}");
        assert!(!alert["annotations"]["summary"].as_str().unwrap().is_empty(), "{name}");
        let sentences = alert["annotations"]["description"].as_str().unwrap().split(['.', ':']).count();
        assert!(sentences > 2, "{name}: a description says what it means and what to do");
        assert!(tests.contains(&format!("alertname=\"{name}\"")), "no test makes {name} fire");
    }
    for test in yaml("deploy/prometheus/alerts_test.yml")["tests"].as_array().unwrap() {
        for series in test["input_series"].as_array().unwrap() {
            offered.check(series["series"].as_str().unwrap());
        }
    }
}

#[tokio::test]
async fn the_dashboard_asks_for_what_is_offered() {
    let offered = expressions::offered().await;
    let dashboard: Value = serde_json::from_str(&text("deploy/grafana/dashboards/storehouse.json")).unwrap();
    let source = &yaml("deploy/grafana/provisioning/datasources/prometheus.yml")["datasources"][0];
    let (mut asked, mut places) = (0, BTreeSet::new());
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(places.insert(panel["gridPos"].to_string()), "two panels at one place: {}", panel["title"]);
        for target in panel["targets"].as_array().into_iter().flatten() {
            assert_eq!(target["datasource"]["uid"], source["uid"]);
            offered.check(target["expr"].as_str().unwrap());
            asked += 1;
        }
    }
    assert!(asked > 30, "only {asked} expressions");
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        let query = variable["definition"].as_str().unwrap().strip_prefix("label_values(").unwrap();
        let (series, label) = query.rsplit_once(", ").unwrap();
        offered.check(&format!("sum by ({label} ({series})"));
        assert_eq!(variable["name"], label.trim_end_matches(')'));
    }
    for annotation in dashboard["annotations"]["list"].as_array().unwrap() {
        offered.check(annotation["expr"].as_str().unwrap());
    }
}

#[tokio::test]
async fn the_readme_lists_every_metric() {
    let readme = text("README.md");
    for name in expressions::offered().await.metrics() {
        let is_listed = readme.contains(&format!("`{name}`")) || readme.contains(&format!("`{name}{{"));
        // What every program's client library tells, and what Prometheus adds, needs no explanation.
        assert!(is_listed || name.starts_with("process_") || name == "up", "README.md lacks {name}");
    }
}

#[test]
fn grafana_finds_its_files() {
    let grafana = &compose()["services"]["grafana"];
    let provider = &yaml("deploy/grafana/provisioning/dashboards/storehouse.yml")["providers"][0];
    let path = provider["options"]["path"].as_str().unwrap();
    let mounts = texts(&grafana["volumes"]);
    assert!(mounts.contains(&format!("./deploy/grafana/dashboards:{path}:ro").as_str()), "{mounts:?}");
    let source = &yaml("deploy/grafana/provisioning/datasources/prometheus.yml")["datasources"][0];
    assert_eq!(
        source["url"],
        format!("http://prometheus:{}", published(&compose()["services"]["prometheus"]).0)
    );
}

/// The values of a key of a unit, in order.
fn unit_values(unit: &str, key: &str) -> Vec<String> {
    let values = unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    values.map(str::to_owned).collect()
}

#[test]
fn the_units_run_the_program_and_give_it_time_to_end() {
    for file in ["storehouse.service", "storehouse@.service"] {
        let unit = text(&format!("deploy/{file}"));
        let start = unit_values(&unit, "ExecStart").concat();
        let command = start.strip_prefix("/usr/local/bin/storehouse ").unwrap();
        for part in PARTS {
            let command = command.replace("%i", part);
            assert!(takes(&command.split(' ').collect::<Vec<_>>()), "{file}: {command}");
        }
        // A shutdown takes 30 s at most, and a moment before and after.
        assert!(unit_values(&unit, "TimeoutStopSec").concat().parse::<u32>().unwrap() > 35);
        assert_eq!(unit_values(&unit, "EnvironmentFile")[0], "/etc/storehouse/storehouse.env");
        let names = text("deploy/storehouse.env");
        let data = names.lines().find_map(|line| line.strip_prefix("DATA_DIR=/var/lib/")).unwrap();
        assert_eq!(unit_values(&unit, "StateDirectory"), [data]);
    }
    let lines = text("deploy/storehouse.env");
    for (name, _) in lines.lines().filter_map(|line| line.split_once('=')) {
        let name = name.trim_start_matches('#');
        assert!(name.contains(' ') || settings().contains_key(name), "there is no setting {name}");
    }
}

#[test]
fn a_release_packs_files_that_are_there() {
    let script = text("scripts/release.sh");
    let installs = script.lines().filter(|line| line.starts_with("install "));
    let words = installs.flat_map(|line| line.split(' ').skip(1));
    let files: Vec<&str> = words.filter(|word| word.contains(['.', '/']) && !word.contains('$')).collect();
    assert!(files.len() > 5, "{files:?}");
    for file in &files {
        exists(file.split('*').next().unwrap(), "scripts/release.sh");
    }
    // What its README sends readers to; what needs a checkout is told as such.
    let readme = text("README.md");
    for told in
        readme.split('`').filter(|words| ["docs/", "deploy/"].iter().any(|folder| words.starts_with(folder)))
    {
        let is_packed = |file: &&str| match file.split_once('*') {
            Some((folder, end)) => {
                file.starts_with(told) || (told.starts_with(folder) && told.ends_with(end))
            }
            None => *file == told,
        };
        assert!(files.iter().any(is_packed), "the archive lacks {told}");
    }
}

/// Each text stands there once, so the program's parts are told by their headings.
#[test]
fn the_licences_of_all_parts_are_printed() {
    let output = Command::new(root().join("scripts/notices.sh")).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for part in ["axum 0.", "rusqlite 0.", "ring 0.", "libsqlite3-sys 0.", "crates/kit/assets"] {
        assert!(printed.contains(&format!("\n==== {part}")), "{part}");
    }
    assert!(printed.contains("Mrinmoy Majumdar"), "the one who made the pages of /docs");
}
