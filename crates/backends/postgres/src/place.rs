//! [`Place`]: which server, database and schema, and how to get there; from a URL.

mod dial;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gleaner_core::{Error, Result};
use percent_encoding::percent_decode_str;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

pub(crate) use dial::Wire;

use crate::error::BACKEND;

/// How long a socket may take to open, and one of several hosts to answer: well above a far data centre,
/// well below a user's patience, of which the hosts behind it want a part.
const CONNECT: Duration = Duration::from_secs(5);
/// After this long without a sign, a peer is asked for one. A server that vanished without a word is
/// found out by it while its answer is waited for.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// The schema that everything lies in, unless said otherwise.
const SCHEMA: &str = "gleaner";
/// The longest name that PostgreSQL keeps whole.
const NAME_BYTES: usize = 63;

/// How connections are encrypted.
#[derive(Clone)]
enum Tls {
    Plain,
    Rustls(MakeRustlsConnect),
}

/// Where a log or store lies.
#[derive(Clone)]
pub(crate) struct Place {
    config: tokio_postgres::Config,
    /// The same for each of its hosts alone, in their order.
    ways: Vec<tokio_postgres::Config>,
    tls: Tls,
    /// Quoted, for statements.
    pub(crate) schema: String,
    /// For people and errors: hosts, database and schema, and no secret.
    pub(crate) name: Arc<str>,
    /// Whether a pooler stands between that hands each transaction to another session.
    pub(crate) pooler: bool,
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place")
            .field("name", &self.name)
            .field("pooler", &self.pooler)
            .finish_non_exhaustive()
    }
}

/// What a URL's query says that is ours, and what is left of the URL.
#[derive(Debug, Default)]
struct Ours {
    rest: String,
    schema: Option<String>,
    authority: Option<PathBuf>,
    password_file: Option<PathBuf>,
    pooler: Option<bool>,
}

fn invalid(why: impl Into<String>) -> Error {
    Error::invalid(BACKEND, why)
}

impl Ours {
    /// Takes our parameters out of the query: the client's own parser refuses what it does not know.
    /// Errors name parameters and repeat no value: one may be a secret in the wrong place.
    fn take(url: &str) -> Result<Self> {
        let (place, query) = url.split_once('?').unwrap_or((url, ""));
        let mut ours = Self {
            rest: place.to_owned(),
            ..Self::default()
        };
        let mut joint = '?';
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let decoded = || match percent_decode_str(value).decode_utf8() {
                Ok(value) if !value.is_empty() => Ok(value.into_owned()),
                _ => Err(invalid(format!("something in UTF-8 follows {name}="))),
            };
            match name {
                "schema" => ours.schema = Some(decoded()?),
                "sslrootcert" => ours.authority = Some(decoded()?.into()),
                "password-file" => ours.password_file = Some(decoded()?.into()),
                "pooler" => {
                    ours.pooler = Some(match value {
                        "true" => true,
                        "false" => false,
                        _ => return Err(invalid("pooler is true or false")),
                    });
                }
                // As libpq spells what is always done here: a certificate is checked, name and all.
                "sslmode" if matches!(value, "verify-ca" | "verify-full") => {
                    ours.rest.push(joint);
                    ours.rest.push_str("sslmode=require");
                    joint = '&';
                }
                _ => {
                    ours.rest.push(joint);
                    ours.rest.push_str(part);
                    joint = '&';
                }
            }
        }
        Ok(ours)
    }
}

impl Place {
    /// # Errors
    /// `Invalid`, which repeats nothing that may be a secret.
    pub(crate) fn of(url: &str) -> Result<Self> {
        if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
            return Err(invalid("a URL begins with postgres://"));
        }
        let ours = Ours::take(url)?;
        let (place, _) = url.split_once('?').unwrap_or((url, ""));
        // The rest of the password would be taken for a host, and be shown.
        if place.matches('@').count() > 1 {
            return Err(invalid("an @ within a password is written %40"));
        }
        let mut config: tokio_postgres::Config = ours
            .rest
            .parse()
            .map_err(|error| invalid(unreadable(&error)))?;
        if let Some(path) = ours.password_file {
            let secret = std::fs::read_to_string(&path)
                .map_err(|error| invalid(format!("cannot read {}: {error}", path.display())))?;
            config.password(secret.trim_end_matches(['\r', '\n']));
        }
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(invalid("a host follows postgres://"));
        }
        if config.get_user().is_none() {
            return Err(invalid("a user stands before the @"));
        }
        let (hosts, addresses) = (config.get_hosts().len(), config.get_hostaddrs().len());
        if hosts != addresses && hosts.min(addresses) > 0 {
            return Err(invalid("there are as many hostaddr as hosts, or none"));
        }
        let ports = config.get_ports().len();
        if ports > 1 && ports != hosts.max(addresses) {
            return Err(invalid("there are as many ports as hosts, or one for all"));
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT);
        }
        if !url.contains("keepalives") {
            config.keepalives_idle(KEEPALIVE);
        }
        if !url.contains("tcp_user_timeout") {
            config.tcp_user_timeout(KEEPALIVE);
        }
        if config.get_application_name().is_none() {
            config.application_name("gleaner");
        }
        let tls = match (ours.authority, config.get_ssl_mode()) {
            (Some(_), SslMode::Disable) => {
                return Err(invalid(
                    "sslmode=disable and sslrootcert exclude each other",
                ));
            }
            (Some(path), _) => {
                config.ssl_mode(SslMode::Require);
                Tls::Rustls(authority(&path)?)
            }
            (None, SslMode::Require) => {
                return Err(invalid(
                    "sslmode needs sslrootcert, the file of the authority that signed for the server",
                ));
            }
            (None, _) => Tls::Plain,
        };
        let schema = ours.schema.unwrap_or_else(|| SCHEMA.to_owned());
        let name = name(&config, &schema);
        Ok(Self {
            schema: quoted(&schema)?,
            ways: dial::ways(&config),
            config,
            tls,
            name: name.into(),
            pooler: ours.pooler.unwrap_or(false),
        })
    }

    /// Puts it into another schema.
    pub(crate) fn in_schema(&mut self, schema: &str) -> Result<()> {
        self.schema = quoted(schema)?;
        self.name = name(&self.config, schema).into();
        Ok(())
    }
}

/// Options whose names may be repeated. What else the parser quotes may be the rest of a password that
/// holds a question mark.
const OPTIONS: [&str; 8] = [
    "port",
    "sslmode",
    "connect_timeout",
    "tcp_user_timeout",
    "keepalives",
    "target_session_attrs",
    "channel_binding",
    "load_balance_hosts",
];

fn unreadable(error: &tokio_postgres::Error) -> String {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    let cause = cause.unwrap_or_default();
    match OPTIONS.iter().find(|option| cause.contains(**option)) {
        Some(option) => format!("not a URL of a database: the value of {option}"),
        None => {
            "not a URL of a database: an option that is not known, or a character that must be \
                 percent-encoded"
                .to_owned()
        }
    }
}

fn name(config: &tokio_postgres::Config, schema: &str) -> String {
    let mut ports = config.get_ports().iter().copied().cycle();
    let mut hosts: Vec<String> = config
        .get_hosts()
        .iter()
        .map(|host| {
            let port = ports.next().unwrap_or(5432);
            match host {
                Host::Tcp(name) => format!("{name}:{port}"),
                #[cfg(unix)]
                Host::Unix(path) => format!("{}:{port}", path.display()),
            }
        })
        .collect();
    if hosts.is_empty() {
        hosts.extend(config.get_hostaddrs().iter().map(ToString::to_string));
    }
    let database = config
        .get_dbname()
        .or(config.get_user())
        .unwrap_or_default();
    format!("{}/{database} ({schema})", hosts.join(","))
}

/// A name as it stands in statements.
fn quoted(schema: &str) -> Result<String> {
    if schema.is_empty() || schema.len() > NAME_BYTES || schema.contains('\0') {
        return Err(invalid(format!(
            "a schema's name has 1 to {NAME_BYTES} bytes, none of them zero"
        )));
    }
    if schema.starts_with("pg_") {
        return Err(invalid("schemas that begin with pg_ are the server's own"));
    }
    Ok(format!("\"{}\"", schema.replace('"', "\"\"")))
}

/// Trusts the authorities in a file alone.
fn authority(path: &std::path::Path) -> Result<MakeRustlsConnect> {
    let unusable = |why: String| invalid(format!("{}: {why}", path.display()));
    let mut roots = RootCertStore::empty();
    let certificates =
        CertificateDer::pem_file_iter(path).map_err(|error| unusable(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| unusable(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(unusable("no certificate in PEM is in it".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

#[cfg(test)]
mod tests;
