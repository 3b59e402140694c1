//! The socket that takes connections: made on the caller's thread, and listened on from the server's.
//!
//! Called by `server`. Whatever the system may refuse is refused in front of the caller. It is made without a
//! runtime, since the caller may be inside one of its own, and is registered with ours on our thread.
//!
//! Path: *read path*.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};

use super::address::Endpoint;
#[cfg(unix)]
use super::socket_file::{self, SocketFile};
use super::waiters::Peer;
use crate::Error;

/// What the operating system may hold of an answer that is not taken. It would else grow to megabytes for each
/// connection, which count against a container's memory as ours do.
const SEND_BUFFER_BYTES: usize = 256 * 1024;

/// A socket that listens, and that no runtime knows yet.
pub(super) enum Bound {
    Tcp(std::net::TcpListener),
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixListener, SocketFile),
}

/// A socket that takes connections.
pub(super) enum Listener {
    Tcp(tokio::net::TcpListener),
    #[cfg(unix)]
    Unix {
        listener: tokio::net::UnixListener,
        _file: SocketFile,
    },
}

/// A connection of either sort.
pub(super) trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Connection for S {}

impl Bound {
    /// Listens on `endpoint`, and gives the real port back.
    pub(super) fn to(endpoint: &Endpoint) -> Result<(Bound, Endpoint), Error> {
        match endpoint {
            Endpoint::Tcp(socket) => {
                let bind = || {
                    let listener = std::net::TcpListener::bind(socket)?;
                    // Connections inherit it.
                    socket2::SockRef::from(&listener).set_send_buffer_size(SEND_BUFFER_BYTES)?;
                    let bound = listener.local_addr()?;
                    listener.set_nonblocking(true)?;
                    Ok((Bound::Tcp(listener), Endpoint::Tcp(bound)))
                };
                bind().map_err(|source| Error::Bind { address: *socket, source })
            }
            #[cfg(unix)]
            Endpoint::Unix(path) => {
                let bind = || {
                    let (listener, file) = socket_file::listen(path)?;
                    listener.set_nonblocking(true)?;
                    Ok((Bound::Unix(listener, file), endpoint.clone()))
                };
                bind().map_err(|source| Error::Socket { path: path.clone(), source })
            }
            #[cfg(not(unix))]
            Endpoint::Unix(path) => {
                Err(Error::Socket { path: path.clone(), source: io::ErrorKind::Unsupported.into() })
            }
        }
    }

    /// Has the runtime that this is called in listen.
    pub(super) fn register(self) -> io::Result<Listener> {
        match self {
            Bound::Tcp(listener) => tokio::net::TcpListener::from_std(listener).map(Listener::Tcp),
            #[cfg(unix)]
            Bound::Unix(listener, file) => {
                let listener = tokio::net::UnixListener::from_std(listener)?;
                Ok(Listener::Unix { listener, _file: file })
            }
        }
    }
}

impl Listener {
    pub(super) async fn accept(&self) -> io::Result<(Box<dyn Connection>, Peer)> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Only a delay if it fails.
                let _ = stream.set_nodelay(true);
                Ok((Box::new(stream), Peer::from(peer)))
            }
            #[cfg(unix)]
            Listener::Unix { listener, .. } => Ok((Box::new(listener.accept().await?.0), Peer::UNIX)),
        }
    }
}
