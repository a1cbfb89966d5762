//! Every setting there is. Reading, `storehouse config`, the messages and `.env.example` all come from this table.

use Fallback::{Always, PerEnvironment, Unset};
use Kind::{List, Number, Secret, Switch, Text, Url};

/// One setting.
#[derive(Debug)]
pub(crate) struct Setting {
    /// Its name in the environment; in a file it is written in lower case.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) default: Fallback,
    /// What a value may be: the end of the sentence that refuses another one.
    pub(crate) valid: &'static str,
    pub(crate) help: &'static str,
}

/// How a value is written in a file, and what of it may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Number,
    Switch,
    /// Items with commas between them, in a file an array.
    List,
    /// Its password, if it has one, is not shown.
    Url,
    /// Not shown at all.
    Secret,
}

/// The value where nothing is set.
#[derive(Debug)]
pub(crate) enum Fallback {
    Unset,
    Always(&'static str),
    PerEnvironment { development: &'static str, production: &'static str },
}

const ADDRESS: &str = "an IP address such as 127.0.0.1, or 0.0.0.0 for all";
const PORT: &str = "a port number, 0 to 65535 (0: any free one)";
const SWITCH: &str = "on or off";
const TIME: &str = "a time such as 90s, 30m, 24h or 7d";

/// Those whose changes the audit log tells. Where parts run apart, all of them have these in common.
pub(crate) const AUDITED: &[&str] = &[
    "ENVIRONMENT",
    "PASSWORD_HASH",
    "PASSWORD_DENYLIST",
    "RATE_LIMIT",
    "CORS_ORIGINS",
    "TRUSTED_PROXIES",
    "MAX_CONNECTIONS",
    "CURRENCY",
    "MAX_PENDING_ORDERS",
    "PENDING_EXPIRY",
    "EVENT_RETENTION",
    "AUDIT_RETENTION",
    "WEBHOOK_ALLOW_NETWORKS",
    "DOCS",
];

pub(crate) const TABLE: &[Setting] = &[
    Setting {
        name: "ENVIRONMENT",
        kind: Text,
        default: Always("development"),
        valid: "development or production",
        help: "development works out of the box; production refuses what is unsafe",
    },
    Setting {
        name: "HOST",
        kind: Text,
        default: PerEnvironment { development: "127.0.0.1", production: "0.0.0.0" },
        valid: ADDRESS,
        help: "address that the gateway listens on, or the one service that a process runs",
    },
    Setting {
        name: "SERVICE_HOST",
        kind: Text,
        default: Always("127.0.0.1"),
        valid: ADDRESS,
        help: "address that services beside a gateway in one process listen on",
    },
    Setting {
        name: "PORT",
        kind: Number,
        default: Unset,
        valid: PORT,
        help: "port of the gateway, or of the one service that a process runs, where its own setting below is not set",
    },
    Setting {
        name: "GATEWAY_PORT",
        kind: Number,
        default: Always("8000"),
        valid: PORT,
        help: "port of the gateway",
    },
    Setting {
        name: "AUTH_PORT",
        kind: Number,
        default: Always("8083"),
        valid: PORT,
        help: "port of the auth service",
    },
    Setting {
        name: "USERS_PORT",
        kind: Number,
        default: Always("8081"),
        valid: PORT,
        help: "port of the users service",
    },
    Setting {
        name: "ORDERS_PORT",
        kind: Number,
        default: Always("8082"),
        valid: PORT,
        help: "port of the orders service",
    },
    Setting {
        name: "INVENTORY_PORT",
        kind: Number,
        default: Always("8084"),
        valid: PORT,
        help: "port of the inventory service",
    },
    Setting {
        name: "DATA_DIR",
        kind: Text,
        default: Always("./data"),
        valid: "a folder",
        help: "folder for the database file and the development signing secret",
    },
    Setting {
        name: "DATABASE_URL",
        kind: Url,
        default: Always("$DATA_DIR/storehouse.db"),
        valid: "a path, sqlite:PATH, sqlite://PATH, postgres://… or postgresql://…",
        help: "where the data lives: a file (SQLite) or a PostgreSQL address",
    },
    Setting {
        name: "REDIS_URL",
        kind: Url,
        default: Unset,
        valid: "redis://… or rediss://…",
        help: "where copies of a service count their limits together; without it each counts alone",
    },
    Setting {
        name: "JWT_SECRET",
        kind: Secret,
        default: Unset,
        valid: "a text of at least 32 bytes",
        help: "signs the tokens; needed in production (make one: openssl rand -hex 32), made and kept in DATA_DIR in development",
    },
    Setting {
        name: "PASSWORD_HASH",
        kind: Text,
        default: Always("argon2id"),
        valid: "argon2id or bcrypt",
        help: "how new passwords are stored; both are always verified",
    },
    Setting {
        name: "PASSWORD_DENYLIST",
        kind: Switch,
        default: PerEnvironment { development: "off", production: "on" },
        valid: SWITCH,
        help: "refuse the passwords that everyone uses",
    },
    Setting {
        name: "SESSION_IDLE",
        kind: Text,
        default: Always("7d"),
        valid: TIME,
        help: "after so long without a refresh a session of a customer or of staff ends",
    },
    Setting {
        name: "SESSION_LIFETIME",
        kind: Text,
        default: Always("30d"),
        valid: TIME,
        help: "after so long it ends however often it was refreshed",
    },
    Setting {
        name: "ADMIN_SESSION_IDLE",
        kind: Text,
        default: Always("1h"),
        valid: TIME,
        help: "the same for an admin's session, without a refresh",
    },
    Setting {
        name: "ADMIN_SESSION_LIFETIME",
        kind: Text,
        default: Always("24h"),
        valid: TIME,
        help: "the same for an admin's session, in all",
    },
    Setting {
        name: "ROUTES_FILE",
        kind: Text,
        default: Unset,
        valid: "a file",
        help: "the gateway's routes; else ./routes.yaml where there is one, else the built-in routes",
    },
    Setting {
        name: "RATE_LIMIT",
        kind: Switch,
        default: Always("on"),
        valid: SWITCH,
        help: "off switches every limit off, login's too; refused in production",
    },
    Setting {
        name: "CORS_ORIGINS",
        kind: List,
        default: PerEnvironment { development: "http://localhost:*", production: "" },
        valid: "origins with commas between them, such as https://shop.example.com or http://localhost:*",
        help: "web pages that may call from a browser",
    },
    Setting {
        name: "TRUSTED_PROXIES",
        kind: List,
        default: Unset,
        valid: "addresses or networks with commas between them, such as 10.0.0.1 or 10.0.0.0/8",
        help: "proxies in front of the gateway whose X-Forwarded headers are believed",
    },
    Setting {
        name: "MAX_CONNECTIONS",
        kind: Number,
        default: Always("10000"),
        valid: "a number of at least 4",
        help: "connections that a port holds at once, at the gateway a quarter of them from one address that is no trusted proxy; one more is closed",
    },
    Setting {
        name: "CURRENCY",
        kind: Text,
        default: Always("USD"),
        valid: "three capital letters, as in ISO 4217",
        help: "currency of an amount that names none",
    },
    Setting {
        name: "MAX_PENDING_ORDERS",
        kind: Number,
        default: Always("100"),
        valid: "a whole number, at least 1",
        help: "how many orders a customer may have pending at a time",
    },
    Setting {
        name: "PENDING_EXPIRY",
        kind: Text,
        default: Always("24h"),
        valid: TIME,
        help: "how long a pending order keeps its stock before it expires",
    },
    Setting {
        name: "BACKUP_FOLDER",
        kind: Text,
        default: Unset,
        valid: "a folder",
        help: "folder that gets a backup each night; where none is set, none is made",
    },
    Setting {
        name: "BACKUP_TIME",
        kind: Text,
        default: Always("02:30"),
        valid: "a time of day in UTC such as 02:30",
        help: "when the nightly backup is made, in UTC",
    },
    Setting {
        name: "BACKUP_KEEP",
        kind: Number,
        default: Always("14"),
        valid: "a whole number, at least 1",
        help: "how many nightly backups are kept",
    },
    Setting {
        name: "EVENT_RETENTION",
        kind: Text,
        default: Always("30d"),
        valid: TIME,
        help: "how long events can be read; who hasn't read them by then has missed them",
    },
    Setting {
        name: "AUDIT_RETENTION",
        kind: Text,
        default: Always("400d"),
        valid: "a time such as 90s, 30m, 24h or 400d, or forever",
        help: "how long the audit log is kept",
    },
    Setting {
        name: "WEBHOOK_ALLOW_NETWORKS",
        kind: List,
        default: PerEnvironment { development: "127.0.0.0/8,::1", production: "" },
        valid: "addresses or networks with commas between them, such as 10.0.0.1 or 10.0.0.0/8",
        help: "networks that webhooks may reach although they are private; all public addresses may be reached",
    },
    Setting {
        name: "SMTP_URL",
        kind: Secret,
        default: Unset,
        valid: "smtps://user:password@host, smtp://host:587?tls=required, or smtp://host; a password needs one of the first two",
        help: "the server that mails are sent by; where none is set, development writes them to DATA_DIR/mail, and production sends none",
    },
    Setting {
        name: "MAIL_FROM",
        kind: Text,
        default: PerEnvironment { development: "Storehouse <storehouse@localhost>", production: "" },
        valid: "an email address, with a name before it if wanted: Storehouse <storehouse@example.com>",
        help: "whom mails come from; needed with SMTP_URL",
    },
    Setting {
        name: "PUBLIC_URL",
        kind: Text,
        default: Unset,
        valid: "an address such as https://shop.example.com, perhaps with a path; in production https",
        help: "where your pages are: links in mails lead to /verify-email and /reset-password there; where none is set, mails say what to send to the API",
    },
    Setting {
        name: "LOW_STOCK_EMAILS",
        kind: List,
        default: Unset,
        valid: "email addresses with commas between them",
        help: "who is told by mail of products that fell to their reorder point",
    },
    Setting {
        name: "OUTGOING_CA_FILE",
        kind: Text,
        default: Unset,
        valid: "a file",
        help: "certificates (PEM) of authorities of your own, which the mail server and receivers of webhooks may have theirs from; the public ones are built in",
    },
    Setting {
        name: "DOCS",
        kind: Switch,
        default: PerEnvironment { development: "on", production: "off" },
        valid: SWITCH,
        help: "serve /docs and /openapi.json",
    },
    Setting {
        name: "METRICS_TOKEN",
        kind: Secret,
        default: Unset,
        valid: "a text of letters, digits and signs without spaces",
        help: "the bearer token for the gateway's /metrics; where none is set, development lets everybody read it, production nobody",
    },
    Setting {
        name: "LOG_LEVEL",
        kind: Text,
        default: Always("info"),
        valid: "off, error, warn, info, debug or trace, and by module if wanted: info,gateway=debug",
        help: "how much is logged",
    },
    Setting {
        name: "LOG_FORMAT",
        kind: Text,
        default: Always("auto"),
        valid: "auto, text or json",
        help: "auto: text on a terminal, JSON lines elsewhere; logs go to standard error",
    },
];

impl Setting {
    /// The value where nothing is set; empty if there is none.
    pub(crate) fn default_for(&self, production: bool) -> &'static str {
        match self.default {
            Unset => "",
            PerEnvironment { production: text, .. } if production => text,
            Always(text) | PerEnvironment { development: text, .. } => text,
        }
    }

    /// Its name in a file.
    pub(crate) fn key(&self) -> String {
        self.name.to_ascii_lowercase()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `.env.example` must be: every setting with its help and default, commented out.
    fn env_example() -> String {
        let mut text = String::from(
            "# Settings as environment variables, each with its default. Uncomment what you change.\n\
             # They can stand in ./storehouse.toml too, in lower case; the environment wins. `storehouse config` shows the result.\n",
        );
        for setting in TABLE {
            text += &format!("\n# {}\n", setting.help);
            if let PerEnvironment { production, .. } = setting.default {
                text += &format!(
                    "# In production: {}\n",
                    if production.is_empty() { "none" } else { production }
                );
            }
            text += &format!("#{}={}\n", setting.name, setting.default_for(false));
        }
        text
    }

    #[test]
    fn env_example_names_exactly_these_settings() {
        let wanted = env_example();
        let file = include_str!("../../../../.env.example");
        assert!(file == wanted, ".env.example differs from the table of settings; it should be:\n{wanted}");
    }
}
