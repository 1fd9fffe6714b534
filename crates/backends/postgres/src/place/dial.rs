//! How a place is reached: its hosts one after the other, each for a while.

use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use gleaner_core::Error;
use tokio::time::timeout;
use tokio_postgres::config::{Host, LoadBalanceHosts, TargetSessionAttrs};
use tokio_postgres::tls::{MakeTlsConnect, NoTlsStream};
use tokio_postgres::{AsyncMessage, Client, Config, Connection, NoTls, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{CONNECT, Place, Tls};
use crate::error::{BACKEND, Fault};

type RustlsStream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;

/// What a client's statements and answers go over. Nothing does unless it is polled.
pub(crate) enum Wire {
    Plain(Box<Connection<Socket, NoTlsStream>>),
    Rustls(Box<Connection<Socket, RustlsStream>>),
}

impl Wire {
    /// What the server sends unasked; none at the end.
    pub(crate) fn poll_message(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<AsyncMessage, tokio_postgres::Error>>> {
        match self {
            Self::Plain(connection) => connection.poll_message(context),
            Self::Rustls(connection) => connection.poll_message(context),
        }
    }
}

/// Ends with the connection.
impl Future for Wire {
    type Output = Result<(), tokio_postgres::Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Plain(connection) => Pin::new(connection).poll(context),
            Self::Rustls(connection) => Pin::new(connection).poll(context),
        }
    }
}

impl Place {
    /// Connects to the first host that will do: of several, the one that is the primary, unless the URL
    /// asks for another kind.
    ///
    /// The client library would try one host after the other itself, but bounds only how long a socket
    /// takes to open: the kernel of a server that is stopped opens it, and the next host is never tried.
    /// So each is given [`CONNECT`], or what the URL says instead, for the whole of its answer, and never
    /// more than its share of `patience`. A host that is alone has it all: there is none to pass on to.
    ///
    /// # Errors
    /// That of the last host.
    pub(crate) async fn dial(&self, patience: Duration) -> Result<(Client, Wire), Fault> {
        let mut ways: Vec<&Config> = self.ways.iter().collect();
        if self.config.get_load_balance_hosts() == LoadBalanceHosts::Random {
            // Keys are drawn for each.
            let lots = RandomState::new();
            let mut drawn: Vec<(u64, &Config)> = ways
                .into_iter()
                .enumerate()
                .map(|(at, way)| (lots.hash_one(at), way))
                .collect();
            drawn.sort_unstable_by_key(|(lot, _)| *lot);
            ways = drawn.into_iter().map(|(_, way)| way).collect();
        }
        let several = u32::try_from(ways.len()).unwrap_or(u32::MAX);
        let at_most = match several {
            0 | 1 => patience,
            several => {
                let connect = self.config.get_connect_timeout().copied();
                connect.unwrap_or(CONNECT).min(patience / several)
            }
        };
        let mut refused = Fault::Silent;
        for way in ways {
            match timeout(at_most, self.try_way(way)).await {
                Ok(Ok(connected)) => return Ok(connected),
                Ok(Err(fault)) => refused = fault,
                Err(_) => refused = Fault::Silent,
            }
        }
        Err(refused)
    }

    async fn try_way(&self, way: &Config) -> Result<(Client, Wire), Fault> {
        let (client, mut wire) = match &self.tls {
            Tls::Plain => {
                let (client, connection) = way.connect(NoTls).await?;
                (client, Wire::Plain(Box::new(connection)))
            }
            Tls::Rustls(tls) => {
                let (client, connection) = way.connect(tls.clone()).await?;
                (client, Wire::Rustls(Box::new(connection)))
            }
        };
        // Whether it takes writes, which the library can ask for, is another question: a primary may
        // have been told not to, and is not to be passed over for it in silence.
        let is_any = self.config.get_target_session_attrs() == TargetSessionAttrs::Any;
        if self.ways.len() > 1 && is_any {
            let rows = tokio::select! {
                rows = client.query_typed("SELECT pg_is_in_recovery()", &[]) => rows?,
                _ = &mut wire => return Err(Fault::Silent),
            };
            let is_standby: bool = rows.first().map_or(Ok(false), |row| row.try_get(0))?;
            if is_standby {
                let why = format!("{} is a standby, not the primary", self.name);
                return Err(Error::transient(BACKEND, why).into());
            }
        }
        Ok((client, wire))
    }
}

/// One configuration for each host of this one, that leads to it alone.
pub(super) fn ways(config: &Config) -> Vec<Config> {
    let (hosts, addresses) = (config.get_hosts(), config.get_hostaddrs());
    let ports = config.get_ports();
    (0..hosts.len().max(addresses.len()))
        .map(|at| {
            let mut way = without_hosts(config);
            match hosts.get(at) {
                Some(Host::Tcp(name)) => {
                    way.host(name);
                }
                #[cfg(unix)]
                Some(Host::Unix(path)) => {
                    way.host_path(path);
                }
                None => {}
            }
            if let Some(address) = addresses.get(at) {
                way.hostaddr(*address);
            }
            if let Some(port) = ports.get(at).or(ports.first()) {
                way.port(*port);
            }
            way
        })
        .collect()
}

fn without_hosts(config: &Config) -> Config {
    let mut bare = Config::new();
    if let Some(user) = config.get_user() {
        bare.user(user);
    }
    if let Some(password) = config.get_password() {
        bare.password(password);
    }
    if let Some(name) = config.get_dbname() {
        bare.dbname(name);
    }
    if let Some(options) = config.get_options() {
        bare.options(options);
    }
    if let Some(name) = config.get_application_name() {
        bare.application_name(name);
    }
    if let Some(timeout) = config.get_connect_timeout() {
        bare.connect_timeout(*timeout);
    }
    if let Some(timeout) = config.get_tcp_user_timeout() {
        bare.tcp_user_timeout(*timeout);
    }
    if let Some(interval) = config.get_keepalives_interval() {
        bare.keepalives_interval(interval);
    }
    if let Some(retries) = config.get_keepalives_retries() {
        bare.keepalives_retries(retries);
    }
    bare.keepalives(config.get_keepalives())
        .keepalives_idle(config.get_keepalives_idle())
        .ssl_mode(config.get_ssl_mode())
        .ssl_negotiation(config.get_ssl_negotiation())
        .target_session_attrs(config.get_target_session_attrs())
        .channel_binding(config.get_channel_binding())
        .load_balance_hosts(config.get_load_balance_hosts());
    bare
}
