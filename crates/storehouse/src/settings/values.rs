//! The text of every setting and where it came from, before it is understood.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use kit::secret::Secret;

use super::table::{Kind, Setting, TABLE};

/// The file that is read where `--config` names none.
pub(super) const FILE: &str = "storehouse.toml";

/// All settings' texts, in the table's order.
pub(crate) struct Values(pub(crate) Vec<Value>);

/// One setting's text, which may be secret; empty where it is not set.
pub(crate) struct Value {
    pub(crate) setting: &'static Setting,
    pub(crate) text: Secret,
    pub(crate) origin: Origin,
}

/// The later one wins.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    Default,
    File(PathBuf),
    Environment,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment => f.write_str("from the environment"),
            Self::File(path) => write!(f, "from {}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

impl Values {
    /// The environment wins over the file, the file over the defaults; what is empty counts as not set.
    pub(crate) fn gather(
        config: Option<&Path>,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self> {
        let (path, mut file) = read_file(config)?;
        let mut values = Vec::with_capacity(TABLE.len());
        for setting in TABLE {
            let from_file = file.remove(&setting.key()).filter(|text| !text.is_empty());
            let (text, origin) = match (from_environment(setting, &environment)?, from_file) {
                (Some(text), _) => (text, Origin::Environment),
                (None, Some(text)) => (text, Origin::File(path.clone())),
                (None, None) => (String::new(), Origin::Default),
            };
            values.push(Value { setting, text: text.into(), origin });
        }
        let mut values = Self(values);
        values.fill_in_defaults()?;
        Ok(values)
    }

    /// What holds where nothing is set may depend on the environment and on the data folder.
    fn fill_in_defaults(&mut self) -> Result<()> {
        let production = self.get("ENVIRONMENT")?.text.expose() == "production";
        for at in 0..self.0.len() {
            if !self.0[at].is_set() {
                let text = self.0[at].setting.default_for(production);
                self.0[at].text = match text.strip_prefix("$DATA_DIR/") {
                    Some(file) => {
                        Path::new(self.get("DATA_DIR")?.text.expose()).join(file).display().to_string()
                    }
                    None => text.to_owned(),
                }
                .into();
            }
        }
        Ok(())
    }

    /// The settings file, if a secret stands there.
    pub(crate) fn files_with_secrets(&self) -> Vec<PathBuf> {
        let is_secret = |value: &&Value| matches!(value.setting.kind, Kind::Secret | Kind::Url);
        let file = |value: &Value| match &value.origin {
            Origin::File(path) if value.shown().is_none_or(|shown| shown != value.text.expose()) => {
                Some(path.clone())
            }
            _ => None,
        };
        self.0.iter().filter(is_secret).find_map(file).into_iter().collect()
    }

    pub(crate) fn get(&self, name: &str) -> Result<&Value> {
        self.0
            .iter()
            .find(|value| value.setting.name == name)
            .with_context(|| format!("no setting is named {name}"))
    }

    /// The typed value, or the one line that says why not.
    pub(crate) fn read<T>(&self, name: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T> {
        let value = self.get(name)?;
        parse(value.text.expose()).ok_or_else(|| value.refused())
    }

    /// The same for a setting that may be unset.
    pub(crate) fn read_optional<T>(
        &self,
        name: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>> {
        let value = self.get(name)?;
        if value.is_set() { self.read(name, parse).map(Some) } else { Ok(None) }
    }
}

impl Value {
    /// Whether there is a text, perhaps the default.
    pub(crate) fn is_set(&self) -> bool {
        !self.text.expose().is_empty()
    }

    fn refused(&self) -> anyhow::Error {
        let Setting { name, valid, .. } = self.setting;
        match self.shown() {
            Some(text) => anyhow!("{name} is {text:?} ({}): it must be {valid}", self.origin),
            None => anyhow!("{name} ({}) must be {valid}", self.origin),
        }
    }

    /// The text as it may be shown; none of a secret.
    pub(crate) fn shown(&self) -> Option<String> {
        match self.setting.kind {
            Kind::Secret => None,
            Kind::Url => Some(without_password(self.text.expose())),
            Kind::Text | Kind::Number | Kind::Switch | Kind::List => Some(self.text.expose().to_owned()),
        }
    }
}

/// Stars instead of what stands between `://user:` and `@`, or after `password=`.
fn without_password(url: &str) -> String {
    let mut url = url.to_owned();
    if let (Some(start), Some(at)) = (url.find("://").map(|at| at + 3), url.rfind('@'))
        && let Some(colon) = url.get(start..at).and_then(|user| user.find(':'))
    {
        url.replace_range(start + colon + 1..at, "********");
    }
    let Some(start) = url.to_ascii_lowercase().find("password=").map(|at| at + "password=".len()) else {
        return url;
    };
    let end = url[start..].find(['&', ' ']).map_or(url.len(), |length| start + length);
    url.replace_range(start..end, "********");
    url
}

fn from_environment(
    setting: &Setting,
    environment: impl Fn(&str) -> Option<OsString>,
) -> Result<Option<String>> {
    let Some(text) = environment(setting.name) else { return Ok(None) };
    let text =
        text.into_string().map_err(|_| anyhow!("{} (from the environment) is not UTF-8", setting.name))?;
    Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty()))
}

/// The file's keys and values; nothing if there is no file and none was asked for.
fn read_file(config: Option<&Path>) -> Result<(PathBuf, BTreeMap<String, String>)> {
    let path = config.unwrap_or(Path::new(FILE)).to_owned();
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && config.is_none() => {
            return Ok(<_>::default());
        }
        Err(error) => bail!("can't read the settings file {}: {error}", path.display()),
    };
    let table: toml::Table = toml::from_str(&text).map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        anyhow!("{} line {line}: {}", path.display(), error.message().replace('\n', " "))
    })?;
    let keys = table.into_iter().map(|(key, value)| {
        let setting = find(&key).with_context(|| path.display().to_string())?;
        let text = text_of(&value).with_context(|| {
            format!("{}: {key} must be a text, a number, true or false, or a list of texts", path.display())
        })?;
        Ok((setting.key(), text))
    });
    Ok((path.clone(), keys.collect::<Result<_>>()?))
}

/// A file's key must be a setting, or it is a slip of the pen.
fn find(key: &str) -> Result<&'static Setting> {
    let nearest = TABLE
        .iter()
        .min_by_key(|setting| strsim::damerau_levenshtein(&setting.key(), &key.to_ascii_lowercase()));
    match nearest {
        Some(setting) if setting.key() == key => Ok(setting),
        Some(setting) => bail!("unknown key {key:?}; the nearest setting is {:?}", setting.key()),
        None => bail!("unknown key {key:?}"),
    }
}

fn text_of(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.trim().to_owned()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(on) => Some(if *on { "on" } else { "off" }.to_owned()),
        toml::Value::Array(items) => {
            let texts: Option<Vec<_>> = items.iter().map(toml::Value::as_str).collect();
            Some(texts?.join(","))
        }
        toml::Value::Float(_) | toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_addresses_are_hidden() {
        for (url, shown) in [
            ("postgres://app:pass@db/store", "postgres://app:********@db/store"),
            ("postgres://app:p@ss:w@db:5432/store", "postgres://app:********@db:5432/store"),
            (
                "postgres://db/store?user=app&password=pass&x=1",
                "postgres://db/store?user=app&password=********&x=1",
            ),
            ("redis://:pass@cache", "redis://:********@cache"),
            ("postgres://app@db/store", "postgres://app@db/store"),
            ("./data/store@1.db", "./data/store@1.db"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }

    #[test]
    fn an_unknown_key_is_answered_with_the_nearest() {
        let error = find("gatway_port").unwrap_err().to_string();
        assert!(error.contains("gatway_port") && error.contains("gateway_port"), "{error}");
        assert!(find("PORT").is_err(), "keys in a file are lower case");
        assert_eq!(find("port").unwrap().name, "PORT");
    }
}
