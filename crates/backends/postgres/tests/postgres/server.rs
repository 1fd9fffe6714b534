//! The one server of these tests, a schema of its own for each, and a plain connection.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use gleaner_servers::{Postgres, or_skip};
use tokio_postgres::{Client, NoTls};

/// A bound on whatever is waited for; nothing is decided by it but that a test has failed.
const LONG: Duration = Duration::from_secs(60);

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

/// The schema that such a URL names, as it stands in statements.
pub(crate) fn schema_of(url: &str) -> String {
    let (_, name) = url.split_once("?schema=").unwrap();
    let name = name.replace("%20", " ").replace("%22", "\"\"");
    format!("\"{name}\"")
}

/// A connection of the test's own.
pub(crate) struct Sql {
    client: Client,
}

impl Sql {
    pub(crate) async fn connect(url: &str) -> Self {
        let plain = url.split('?').next().unwrap();
        let (client, connection) = tokio_postgres::connect(plain, NoTls).await.unwrap();
        tokio::spawn(connection);
        Self { client }
    }

    pub(crate) async fn run(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap();
    }

    /// The one word that is answered, or the SQLSTATE of the refusal.
    pub(crate) async fn word(&self, sql: &str) -> Result<String, String> {
        match self.client.query_one(sql, &[]).await {
            Ok(row) => Ok(row.get(0)),
            Err(error) => Err(error.code().unwrap().code().to_owned()),
        }
    }

    pub(crate) async fn number(&self, sql: &str) -> i64 {
        self.client.query_one(sql, &[]).await.unwrap().get(0)
    }
}

/// Waits for it.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < LONG, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
