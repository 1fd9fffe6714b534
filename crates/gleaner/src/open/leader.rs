//! Logs of leaders by URL.

use std::path::PathBuf;

use gleaner_grpc::GrpcLog;
use gleaner_grpc::tls::ClientTlsConfig;
use percent_encoding::percent_decode_str;

use super::OpenError;

/// What a URL's query may say.
#[derive(Debug, Default)]
struct Query {
    token_file: Option<PathBuf>,
    ca: Option<PathBuf>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    insecure: bool,
}

pub(super) fn open(url: &str) -> Result<GrpcLog, OpenError> {
    let (place, query) = url.split_once('?').unwrap_or((url, ""));
    let bad = |why: String| super::bad(url, why);
    let query = Query::read(query).map_err(bad)?;
    let mut config = GrpcLog::builder(place).insecure(query.insecure);
    if let Some(path) = query.token_file {
        config = config.token_file(path);
    }
    let mut tls = ClientTlsConfig::new();
    let has_tls = query.ca.is_some() || query.cert.is_some() || query.key.is_some();
    if let Some(path) = query.ca {
        tls = tls.authority(path);
    }
    if let Some(path) = query.cert {
        tls = tls.certificate(path);
    }
    if let Some(path) = query.key {
        tls = tls.key(path);
    }
    if has_tls {
        config = config.tls(tls.open().map_err(|error| bad(error.to_string()))?);
    }
    config.open().map_err(|error| bad(error.to_string()))
}

impl Query {
    fn read(text: &str) -> Result<Self, String> {
        let mut query = Self::default();
        for part in text.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let value = percent_decode_str(value)
                .decode_utf8()
                .map_err(|_| format!("{name} is not UTF-8"))?;
            let path = || {
                if value.is_empty() {
                    Err(format!("a path follows {name}="))
                } else {
                    Ok(Some(PathBuf::from(&*value)))
                }
            };
            match name {
                "token-file" => query.token_file = path()?,
                "ca" => query.ca = path()?,
                "cert" => query.cert = path()?,
                "key" => query.key = path()?,
                "insecure" => {
                    query.insecure = match &*value {
                        "true" => true,
                        "false" => false,
                        _ => return Err("insecure is true or false".to_owned()),
                    }
                }
                _ => {
                    return Err(format!(
                        "{name:?} is none of token-file, ca, cert, key, insecure"
                    ));
                }
            }
        }
        Ok(query)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> String {
        match open(url) {
            Ok(_) => panic!("{url} opened"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn bad_urls_are_named() {
        assert!(refused("grpc://localhost:1").contains("not encrypted"));
        assert!(refused("grpcs://localhost:1").contains("authority"));
        assert!(refused("grpc://localhost?insecure=true").contains("HOST:PORT"));
        assert!(refused("grpc:localhost:1?insecure=true").contains("HOST:PORT"));
        assert!(refused("grpc://localhost:1/x?insecure=true").contains("HOST:PORT"));
        let secret = refused("grpc://a:hush@localhost:1?insecure=true");
        assert!(secret.contains("HOST:PORT") && !secret.contains("hush"));
        assert!(!refused("grpc://localhost:1?insecure=true&token=hush").contains("hush"));
        assert!(refused("grpc://localhost:1?insecure=yes").contains("true or false"));
        assert!(refused("grpc://localhost:1?token=abc").contains("\"token\" is none of"));
        assert!(refused("grpc://localhost:1?insecure=true&token-file=").contains("a path follows"));
        assert!(refused("grpcs://localhost:1?ca=/nowhere/ca.pem").contains("/nowhere/ca.pem"));
        assert!(refused("grpc://localhost:1?insecure=true&ca=/nowhere/ca.pem").contains("ca.pem"));
    }

    #[tokio::test]
    async fn a_leader_that_is_not_there_is_no_error_yet() {
        assert!(open("grpc://127.0.0.1:1?insecure=true&token-file=%2Fsome%20where").is_ok());
        assert!(open("grpc://[::1]:1?insecure=true").is_ok());
    }
}
