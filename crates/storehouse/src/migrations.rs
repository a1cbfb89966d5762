//! The one ordered list of migrations. A number, once released, never changes.

use db::Migration;

/// All migrations, in order.
pub const MIGRATIONS: &[Migration] = &[
    Migration::portable(1, "foundation", include_str!("../migrations/0001_foundation.sql")),
    Migration {
        number: 2,
        name: "order_numbers",
        sqlite: include_str!("../migrations/0002_order_numbers.sqlite.sql"),
        postgres: include_str!("../migrations/0002_order_numbers.postgres.sql"),
    },
    Migration {
        number: 3,
        name: "lines_by_order",
        sqlite: include_str!("../migrations/0003_lines_by_order.sqlite.sql"),
        postgres: include_str!("../migrations/0003_lines_by_order.postgres.sql"),
    },
    Migration::portable(4, "inventory", include_str!("../migrations/0004_inventory.sql")),
    Migration {
        number: 5,
        name: "append_only_ledger",
        sqlite: include_str!("../migrations/0005_append_only_ledger.sqlite.sql"),
        postgres: include_str!("../migrations/0005_append_only_ledger.postgres.sql"),
    },
    Migration::portable(6, "lookups", include_str!("../migrations/0006_lookups.sql")),
    Migration {
        number: 7,
        name: "movements_elsewhere",
        sqlite: include_str!("../migrations/0007_movements_elsewhere.sqlite.sql"),
        postgres: include_str!("../migrations/0007_movements_elsewhere.postgres.sql"),
    },
    Migration {
        number: 8,
        name: "events",
        sqlite: include_str!("../migrations/0008_events.sqlite.sql"),
        postgres: include_str!("../migrations/0008_events.postgres.sql"),
    },
    Migration::portable(9, "webhooks", include_str!("../migrations/0009_webhooks.sql")),
    Migration::portable(10, "mails", include_str!("../migrations/0010_mails.sql")),
    Migration::portable(11, "account_mails", include_str!("../migrations/0011_account_mails.sql")),
    Migration::portable(12, "api_keys", include_str!("../migrations/0012_api_keys.sql")),
    Migration {
        number: 13,
        name: "audit",
        sqlite: include_str!("../migrations/0013_audit.sqlite.sql"),
        postgres: include_str!("../migrations/0013_audit.postgres.sql"),
    },
    Migration::portable(14, "identity", include_str!("../migrations/0014_identity.sql")),
    Migration::portable(
        15,
        "capitals_look_alike",
        include_str!("../migrations/0015_capitals_look_alike.sql"),
    ),
    Migration {
        number: 16,
        name: "history_by_order",
        sqlite: include_str!("../migrations/0016_history_by_order.sqlite.sql"),
        postgres: include_str!("../migrations/0016_history_by_order.postgres.sql"),
    },
    Migration::portable(
        17,
        "archived_are_never_low",
        include_str!("../migrations/0017_archived_are_never_low.sql"),
    ),
    Migration {
        number: 18,
        name: "unsealed_by_id",
        sqlite: include_str!("../migrations/0018_unsealed_by_id.sqlite.sql"),
        postgres: include_str!("../migrations/0018_unsealed_by_id.postgres.sql"),
    },
    Migration::portable(19, "priced_by_staff", include_str!("../migrations/0019_priced_by_staff.sql")),
];
