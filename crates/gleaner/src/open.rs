//! [`open`] and [`open_store`]: backends by URL.

#[cfg(feature = "postgres")]
mod database;
#[cfg(feature = "grpc")]
mod leader;

use std::sync::Arc;

use gleaner_core::{Error, Fold, ReplicaStore, ReplicationLog};

use crate::redacted::{is_scheme, redacted};

/// Why a URL could not be opened. What is shown of the URL is [`redacted`].
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Not a URL of a backend: `scheme:rest`.
    #[error("{url:?} is not of the form scheme:rest, such as sqlite:grains.db")]
    NotAUrl {
        /// What was given, redacted.
        url: String,
    },
    /// A scheme that no backend built in has.
    #[error("no backend built in opens {scheme:?} as {what}; built in: {built_in}")]
    UnknownScheme {
        /// The scheme.
        scheme: String,
        /// A log or a store.
        what: &'static str,
        /// What is built in.
        built_in: String,
    },
    /// The URL lacks something, or has something that its backend does not take.
    #[error("{url:?}: {why}")]
    BadUrl {
        /// What was given, redacted.
        url: String,
        /// What is wrong.
        why: String,
    },
    /// The backend could not open it.
    #[error(transparent)]
    Backend(#[from] Error),
}

/// The schemes that this build opens logs of.
const BUILT_IN: &[(&str, bool)] = &[
    ("memory", cfg!(feature = "memory")),
    ("sqlite", cfg!(feature = "sqlite")),
    ("grpc", cfg!(feature = "grpc")),
    ("grpcs", cfg!(feature = "grpc")),
    ("postgres", cfg!(feature = "postgres")),
    ("postgresql", cfg!(feature = "postgres")),
];

/// Opens a log by URL.
///
/// | URL | Log |
/// |---|---|
/// | `memory:` | a new, empty one in this process, gone with its last handle |
/// | `sqlite:PATH` | the file at that path, created if it is missing; shared by processes |
/// | `grpcs://HOST:PORT?ca=F&token-file=F` | the log that a leader serves; `cert=F&key=F` to show a certificate too |
/// | `grpc://HOST:PORT?insecure=true` | the same, unencrypted; `token-file=F` if the leader wants one |
/// | `postgres://USER@HOST:PORT/DATABASE?password-file=F` | the log in that database, its tables made if they are missing; shared by processes on many machines |
///
/// A leader is first asked by the first call, and a database that cannot be reached now is tried again
/// by each call: one that is not up yet is no error here. What a query says is percent-decoded.
///
/// A secret need not stand in a URL, and is better kept out of it: `token-file` and `password-file` name
/// files. Where one does stand in it, no error and no line of a log repeats it ([`redacted`]).
///
/// # PostgreSQL
/// `postgres://` and `postgresql://` are one. `USER:PASSWORD@` gives the password in the URL. Of several
/// hosts, `one:5432,two:5432`, the one that takes writes is used, whatever their order. The query may say, beside what
/// `tokio_postgres::Config` knows (`connect_timeout`, `application_name`, `target_session_attrs` …):
///
/// | Parameter | What it says |
/// |---|---|
/// | `password-file=F` | the file that the password is read from, once, at open |
/// | `schema=NAME` | the schema that the tables lie in; `gleaner` if it is left out. Each holds one log and one replica store |
/// | `sslrootcert=F` | connections are encrypted, to a server with a certificate for its name by an authority in this file; without it they are not encrypted |
/// | `sslmode=verify-full` | says that they must be, and so needs `sslrootcert`; `verify-ca` and `require` mean the same |
/// | `pooler=true` | a pooler stands between that hands each transaction to another session: nothing is prepared or listened for, and what others append is found by polls |
///
/// # Errors
/// [`OpenError`]: the URL, the scheme, or the backend, which names the path.
pub async fn open(url: &str) -> Result<Arc<dyn ReplicationLog>, OpenError> {
    match split(url)? {
        #[cfg(feature = "memory")]
        ("memory", rest) => {
            nothing_after(url, rest)?;
            Ok(Arc::new(gleaner_memory::MemoryLog::new()))
        }
        #[cfg(feature = "sqlite")]
        ("sqlite", path) => {
            some_path(url, path)?;
            Ok(Arc::new(gleaner_sqlite::SqliteLog::open(path).await?))
        }
        #[cfg(feature = "grpc")]
        ("grpc" | "grpcs", _) => Ok(Arc::new(leader::open(url)?)),
        #[cfg(feature = "postgres")]
        ("postgres" | "postgresql", _) => Ok(Arc::new(database::open(url).await?)),
        (scheme, _) => Err(unknown(scheme, "a log")),
    }
}

/// Opens a replica store by URL, with the fold that Deltas need if grains publish any.
///
/// | URL | Store |
/// |---|---|
/// | `memory:` | a new, empty one in this process |
/// | `sqlite:PATH` | the file at that path, created if it is missing; a restart goes on from it |
/// | `postgres://USER@HOST:PORT/DATABASE?password-file=F` | the tables in that database, made if they are missing; the URL says what a log's does |
///
/// # Errors
/// As [`open`].
pub async fn open_store(
    url: &str,
    fold: Option<Arc<dyn Fold>>,
) -> Result<Arc<dyn ReplicaStore>, OpenError> {
    match split(url)? {
        #[cfg(feature = "memory")]
        ("memory", rest) => {
            nothing_after(url, rest)?;
            let store = gleaner_memory::MemoryReplicaStore::new();
            Ok(Arc::new(match fold {
                Some(fold) => store.with_fold(fold),
                None => store,
            }))
        }
        #[cfg(feature = "sqlite")]
        ("sqlite", path) => {
            some_path(url, path)?;
            Ok(Arc::new(
                gleaner_sqlite::SqliteReplicaStore::open(path, fold).await?,
            ))
        }
        #[cfg(feature = "postgres")]
        ("postgres" | "postgresql", _) => Ok(Arc::new(database::open_store(url, fold).await?)),
        (scheme, _) => {
            // In a build without backends nobody else takes it.
            drop(fold);
            Err(unknown(scheme, "a store"))
        }
    }
}

fn split(url: &str) -> Result<(&str, &str), OpenError> {
    url.split_once(':')
        .filter(|(scheme, _)| is_scheme(scheme))
        .ok_or_else(|| OpenError::NotAUrl { url: redacted(url) })
}

#[cfg(any(
    feature = "memory",
    feature = "sqlite",
    feature = "grpc",
    feature = "postgres"
))]
fn bad(url: &str, why: impl Into<String>) -> OpenError {
    OpenError::BadUrl {
        url: redacted(url),
        why: why.into(),
    }
}

fn unknown(scheme: &str, what: &'static str) -> OpenError {
    // Replicas are kept here, not at a leader.
    let opens = |name: &str| what == "a log" || !name.starts_with("grpc");
    let built_in: Vec<&str> = BUILT_IN
        .iter()
        .filter(|(name, built_in)| *built_in && opens(name))
        .map(|(name, _)| *name)
        .collect();
    OpenError::UnknownScheme {
        scheme: scheme.to_owned(),
        what,
        built_in: if built_in.is_empty() {
            "none".to_owned()
        } else {
            built_in.join(", ")
        },
    }
}

#[cfg(feature = "memory")]
fn nothing_after(url: &str, rest: &str) -> Result<(), OpenError> {
    if rest.is_empty() {
        Ok(())
    } else {
        Err(bad(url, "nothing follows memory:"))
    }
}

#[cfg(feature = "sqlite")]
fn some_path(url: &str, path: &str) -> Result<(), OpenError> {
    if path.is_empty() {
        Err(bad(url, "a path follows sqlite:"))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bad_urls_are_named() {
        let refused = |url: &'static str| async move {
            match open(url).await {
                Ok(_) => panic!("{url} opened"),
                Err(error) => error.to_string(),
            }
        };
        assert!(refused("grains.db").await.contains("grains.db"));
        assert!(refused(":x").await.contains("scheme:rest"));
        assert!(refused("tape:reel").await.contains("memory, sqlite"));
        for url in [
            "gleaner@db/app?password=hush",
            "//gleaner:hush@db/app",
            "db?password=hush:x",
            "tape://gleaner:hush@reel?hush",
        ] {
            let said = refused(url).await;
            assert!(!said.contains("hush"), "{said} repeats a secret");
        }
        let stores = match open_store("tape:reel", None).await {
            Ok(_) => panic!("a store on tape opened"),
            Err(error) => error.to_string(),
        };
        assert!(stores.contains("memory, sqlite") && !stores.contains("grpc"));
        assert!(refused("memory:x").await.contains("nothing follows"));
        assert!(refused("sqlite:").await.contains("a path follows"));
        assert!(
            refused("sqlite:/nowhere/at/all.db")
                .await
                .contains("/nowhere/at/all.db")
        );
    }
}
