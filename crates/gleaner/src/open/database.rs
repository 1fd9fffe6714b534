//! Logs in databases by URL.

use gleaner_postgres::PostgresLog;

use super::OpenError;

pub(super) async fn open(url: &str) -> Result<PostgresLog, OpenError> {
    // The backend's words about a URL name its parts and repeat no value that may be a secret.
    let config = PostgresLog::builder(url).map_err(|error| super::bad(url, error.to_string()))?;
    Ok(config.open().await?)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    async fn refused(url: &str) -> String {
        match crate::open(url).await {
            Ok(_) => panic!("{url} opened"),
            Err(error) => format!("{error} {error:?}"),
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
        for scheme in ["postgres", "postgresql"] {
            // Nobody listens at port 1.
            let url = format!("{scheme}://gleaner:hush@127.0.0.1:1/app");
            let log: Arc<dyn gleaner_core::ReplicationLog> = crate::open(&url).await.unwrap();
            let Err(error) = log.identity().await else {
                panic!("somebody listens at port 1");
            };
            assert_eq!(error.kind(), gleaner_core::ErrorKind::Transient);
            let said = format!("{error} {error:?}");
            assert!(
                said.contains("127.0.0.1:1/app") && !said.contains("hush"),
                "{said}"
            );
        }
    }
}
