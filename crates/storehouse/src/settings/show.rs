//! The settings in effect, as a file that could be read again, or as the command that starts a system on the same data.

use std::path::Path;

use super::table::Kind;
use super::values::{FILE, Origin, Value, Values};

/// A default stands in a comment, so that the file, read again, sets the same and no more; so does what can't be shown.
pub(super) fn toml(values: &Values) -> String {
    let mut text = String::from(
        "# The settings in effect, each with where it comes from. This is a valid storehouse.toml:\n\
         # defaults stand in comments, and so does what is secret.\n",
    );
    for value in &values.0 {
        text += &format!("\n# {}\n{}\n", value.setting.help, line(value));
    }
    text
}

/// With what the environment says of where the data lies, and another settings file than the one that is read by itself.
pub(super) fn serve_command(values: &Values) -> String {
    let is_said = |value: &&Value| {
        value.origin == Origin::Environment && ["DATA_DIR", "DATABASE_URL"].contains(&value.setting.name)
    };
    let said = values.0.iter().filter(is_said);
    let said = said.filter_map(|value| Some(format!("{}={} ", value.setting.name, word(&value.shown()?))));
    let file = values.0.iter().find_map(|value| match &value.origin {
        Origin::File(path) if path != Path::new(FILE) => Some(path.display().to_string()),
        _ => None,
    });
    let config = file.map(|file| format!(" --config {}", word(&file))).unwrap_or_default();
    format!("{}storehouse{config} serve", said.collect::<String>())
}

/// As a shell takes it for one word.
fn word(text: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_-./:@".contains(letter);
    if text.chars().all(is_plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

fn line(value: &Value) -> String {
    let key = value.setting.key();
    let origin = value.origin.to_string().replace(char::is_control, "?");
    match value.shown() {
        _ if !value.is_set() => format!("#{key} = {}  # not set", literal(value)),
        Some(shown) if shown != value.text.expose() => {
            format!("#{key} = {}  # {origin}, password not shown", quoted(&shown))
        }
        Some(_) if value.origin == Origin::Default => format!("#{key} = {}  # default", literal(value)),
        Some(_) => format!("{key} = {}  # {origin}", literal(value)),
        None => format!("#{key} = \"********\"  # {origin}, not shown"),
    }
}

fn literal(value: &Value) -> String {
    match value.setting.kind {
        Kind::Number if value.is_set() => value.text.expose().to_owned(),
        Kind::Switch => super::parse::switch(value.text.expose()).unwrap_or_default().to_string(),
        Kind::List => {
            let items = value.text.expose().split(',').map(str::trim).filter(|item| !item.is_empty());
            toml::Value::Array(items.map(|item| item.to_owned().into()).collect()).to_string()
        }
        Kind::Text | Kind::Number | Kind::Url | Kind::Secret => quoted(value.text.expose()),
    }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
