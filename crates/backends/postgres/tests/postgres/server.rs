//! The one server of these tests, and a schema of its own for each.

use std::sync::atomic::{AtomicU32, Ordering};

use gleaner_servers::{Postgres, or_skip};

/// Whether there is one; if not, it is said.
pub(crate) fn is_installed() -> bool {
    or_skip(Postgres::shared()).is_some()
}

/// A schema that nobody has used: a URL.
pub(crate) fn fresh() -> String {
    static SCHEMAS: AtomicU32 = AtomicU32::new(0);
    let number = SCHEMAS.fetch_add(1, Ordering::Relaxed);
    // The second kind of name has to be quoted.
    let name = ["log", "Some%20%22log%22%20"][number as usize % 2];
    let server = Postgres::shared().unwrap();
    format!("{}?schema={name}{number}", server.url())
}
