//! The service takes customers' connections and passes their bytes to an upstream and back.
//!
//! The upstream is an echo server in the same process, so that the demo needs nothing beside itself. All bytes go over
//! real sockets. Sockets are closed when a connection ends: what leaks is in `reader`.
//!
//! A customer belongs to a tenant, which is known by the address that the customer comes from. What is done for a customer has the
//! tenant as a label, so that profiles tell which tenant's connections hold memory.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use pprof_server::{LabelFuture, LabelSet};
use tokio::net::{TcpListener, TcpStream};

use crate::reader::{Reader, Variant};

/// How long the proxy pauses after a failed accept. With no file descriptor left, trying again at once fails again at
/// once.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// A proxy, which runs until its runtime ends.
pub(crate) struct Proxy {
    address: SocketAddr,
    connections: Arc<Connections>,
}

/// Counts the clients of the proxy.
#[derive(Default)]
pub(crate) struct Connections {
    open: AtomicU64,
    total: AtomicU64,
}

impl Proxy {
    /// Binds `listen` and serves it.
    pub(crate) async fn start(listen: SocketAddr, variant: Variant) -> io::Result<Proxy> {
        let listener = TcpListener::bind(listen).await.map_err(|error| {
            let message = format!(
                "cannot listen on {listen}: {error}; choose another address, or any free port: --listen 127.0.0.1:0"
            );
            io::Error::new(error.kind(), message)
        })?;
        let address = listener.local_addr()?;
        let upstream = start_echo_server().await?;
        let connections = Arc::new(Connections::default());
        tokio::spawn(accept_clients(listener, upstream, variant, connections.clone()));
        Ok(Proxy { address, connections })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn connections(&self) -> &Connections {
        &self.connections
    }
}

impl Connections {
    pub(crate) fn open(&self) -> u64 {
        self.open.load(Relaxed)
    }

    pub(crate) fn total(&self) -> u64 {
        self.total.load(Relaxed)
    }
}

async fn accept_clients(
    listener: TcpListener,
    upstream: SocketAddr,
    variant: Variant,
    connections: Arc<Connections>,
) {
    loop {
        let (client, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(_) => {
                tokio::time::sleep(ACCEPT_BACKOFF).await;
                continue;
            }
        };
        connections.total.fetch_add(1, Relaxed);
        connections.open.fetch_add(1, Relaxed);
        let connections = connections.clone();
        let labels = LabelSet::EMPTY.with("tenant", &address.ip());
        let served = async move {
            if let Err(error) = serve_client(client, address, upstream, variant).await {
                eprintln!("client {address}: {error}");
            }
            connections.open.fetch_sub(1, Relaxed);
        };
        tokio::spawn(served.labelled(labels));
    }
}

/// Serves one customer, from connect to disconnect.
async fn serve_client(
    client: TcpStream,
    client_address: SocketAddr,
    upstream: SocketAddr,
    variant: Variant,
) -> io::Result<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_upstream, mut to_upstream) = TcpStream::connect(upstream).await?.into_split();
    let reader = Reader::start(variant);
    let outcome = tokio::try_join!(
        reader.forward(&mut from_client, &mut to_upstream),
        tokio::io::copy(&mut from_upstream, &mut to_client),
    );
    reader.stop();
    if let Err(error) = outcome {
        let (bytes, rate) = (reader.bytes_read(), reader.recent_bytes_per_second());
        eprintln!("client {client_address} went away after {bytes} bytes, lately {rate} bytes/s: {error}");
    }
    Ok(())
}

async fn start_echo_server() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(echo(stream))),
                Err(_) => tokio::time::sleep(ACCEPT_BACKOFF).await,
            }
        }
    });
    Ok(address)
}

/// Sends everything back. A broken connection is the proxy's to report.
async fn echo(stream: TcpStream) {
    let (mut from_proxy, mut to_proxy) = stream.into_split();
    let _ = tokio::io::copy(&mut from_proxy, &mut to_proxy).await;
}
