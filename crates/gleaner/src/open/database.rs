//! Logs and replica stores in databases by URL.

use std::sync::Arc;

use gleaner_core::Fold;
use gleaner_postgres::{PostgresLog, PostgresReplicaStore};

use super::OpenError;

pub(super) async fn open(url: &str) -> Result<PostgresLog, OpenError> {
    // The backend's words about a URL name its parts and repeat no value that may be a secret.
    let config = PostgresLog::builder(url).map_err(|error| super::bad(url, error.to_string()))?;
    Ok(config.open().await?)
}

pub(super) async fn open_store(
    url: &str,
    fold: Option<Arc<dyn Fold>>,
) -> Result<PostgresReplicaStore, OpenError> {
    let config =
        PostgresReplicaStore::builder(url).map_err(|error| super::bad(url, error.to_string()))?;
    let config = match fold {
        Some(fold) => config.fold(fold),
        None => config,
    };
    Ok(config.open().await?)
}

#[cfg(test)]
mod tests {
    use gleaner_core::{ErrorKind, GrainId, ReplicaStore, ReplicationLog};

    use super::*;

    async fn refused(url: &str) -> String {
        match (crate::open(url).await, crate::open_store(url, None).await) {
            (Err(log), Err(store)) => {
                assert_eq!(log.to_string(), store.to_string());
                format!("{log} {log:?} {store:?}")
            }
            _ => panic!("{url} opened"),
        }
    }

    #[tokio::test]
    async fn bad_urls_are_named_and_no_secret_is_repeated() {
        for (url, why) in [
            ("postgres:hush", "postgres://"),
            ("postgres://gleaner:hush", "not a URL"),
            ("postgres://gleaner:hush@db.example:x/app", "not a URL"),
            ("postgres://gleaner:hush@/app", "a host"),
            ("postgresql://db.example/app?password=hush", "a user"),
            ("postgres://gleaner@db/app?hush=hush", "not a URL"),
            ("postgres://gleaner:hush@db/app?schema=", "follows schema="),
            ("postgres://gleaner@db/app?pooler=hush", "true or false"),
            (
                "postgres://gleaner:hush@db/app?sslmode=require",
                "sslrootcert",
            ),
            (
                "postgres://u:hush@db/app?sslrootcert=/nowhere/ca.pem",
                "/nowhere/ca.pem",
            ),
            (
                "postgres://gleaner@db/app?password-file=/nowhere/pw",
                "/nowhere/pw",
            ),
        ] {
            let said = refused(url).await;
            assert!(said.contains(why), "{said} says {why:?}");
            assert!(!said.contains("hush"), "{said} repeats a secret");
        }
        let said = refused("postgres://gleaner:hush@db.example:5432/app?pooler=x").await;
        assert!(
            said.contains("postgres://...@db.example:5432/app"),
            "{said}"
        );
    }

    #[tokio::test]
    async fn a_database_that_is_not_there_is_no_error_yet() {
        let grain = GrainId::new("t", "k").unwrap();
        for scheme in ["postgres", "postgresql"] {
            // Nobody listens at port 1.
            let url = format!("{scheme}://gleaner:hush@127.0.0.1:1/app");
            let log: Arc<dyn ReplicationLog> = crate::open(&url).await.unwrap();
            let store: Arc<dyn ReplicaStore> = crate::open_store(&url, None).await.unwrap();
            let errors = (
                log.identity().await,
                store.cursor(std::slice::from_ref(&grain)).await,
            );
            let (Err(log), Err(store)) = errors else {
                panic!("somebody listens at port 1");
            };
            assert_eq!(log.kind(), ErrorKind::Transient);
            assert_eq!(store.kind(), ErrorKind::Transient);
            let said = format!("{log} {log:?} {store} {store:?}");
            assert!(
                said.contains("127.0.0.1:1/app") && !said.contains("hush"),
                "{said}"
            );
        }
    }
}
