//! The parts that a process can run, each on a port of its own.

use clap::ValueEnum;

/// The gateway or a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// In front of all services.
    Gateway,
    /// Registers people and logs them in.
    Auth,
    /// Accounts, as people and admins see them.
    Users,
    /// Orders and their lifecycle.
    Orders,
    /// Products, locations and stock.
    Inventory,
}

impl Part {
    /// What the whole system runs, the gateway first.
    pub const ALL: [Self; 5] = [Self::Gateway, Self::Auth, Self::Users, Self::Orders, Self::Inventory];

    /// The name that it answers `/health` with, and that the command line takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Auth => "auth",
            Self::Users => "users",
            Self::Orders => "orders",
            Self::Inventory => "inventory",
        }
    }

    /// Its name, for people.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Auth => "auth service",
            Self::Users => "users service",
            Self::Orders => "orders service",
            Self::Inventory => "inventory service",
        }
    }

    /// The setting of its port.
    pub(crate) fn port_setting(self) -> &'static str {
        match self {
            Self::Gateway => "GATEWAY_PORT",
            Self::Auth => "AUTH_PORT",
            Self::Users => "USERS_PORT",
            Self::Orders => "ORDERS_PORT",
            Self::Inventory => "INVENTORY_PORT",
        }
    }
}

/// The parts that were named, each once and the gateway first; all where none was.
pub(crate) fn in_order(named: &[Part]) -> Vec<Part> {
    Part::ALL.into_iter().filter(|part| named.is_empty() || named.contains(part)).collect()
}
