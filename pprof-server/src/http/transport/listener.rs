//! The socket that takes connections is made on the caller's thread, and listened on from the server's.
//!
//! `server` calls this. Whatever the system may refuse is refused in front of the caller. It is made without a
//! runtime, since the caller may be inside one of its own, and is registered with ours on our thread.
//!
//! Path: *read path*.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};

use super::address::Endpoint;
use super::own_descriptors::OwnDescriptors;
#[cfg(target_os = "linux")]
use super::signal_socket;
#[cfg(unix)]
use super::socket_file::{self, SocketFile};
use crate::Error;
use crate::http::workers::waiters::Peer;

/// What the operating system may hold of an answer that is not taken. It would else grow to megabytes for each
/// connection, which count against a container's memory as ours do.
const SEND_BUFFER_BYTES: usize = 256 * 1024;

/// More descriptors than a runtime opens: two for an epoll instance, one for what wakes it, and three sockets for signals.
const OF_A_RUNTIME: usize = 8;

/// A socket that listens, and that no runtime knows yet.
pub(crate) struct Bound {
    socket: BoundSocket,
    in_children: InChildren,
}

enum BoundSocket {
    Tcp(std::net::TcpListener),
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixListener, SocketFile),
}

/// A socket that takes connections. In a child of `fork` it is closed, where it would else take connections that
/// nobody answers.
pub(crate) struct Listener {
    socket: Socket,
    _in_children: InChildren,
}

enum Socket {
    Tcp(tokio::net::TcpListener),
    #[cfg(unix)]
    Unix {
        listener: tokio::net::UnixListener,
        _file: SocketFile,
    },
}

/// A connection of either sort.
pub(crate) trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Connection for S {}

/// A client who has come.
pub(crate) struct Client {
    pub(crate) stream: Box<dyn Connection>,
    pub(crate) peer: Peer,
    /// A child that kept the connection would leave the client waiting when we have closed it.
    pub(crate) in_children: InChildren,
}

/// While it is there, children of `fork` close a descriptor.
#[cfg(unix)]
pub(crate) type InChildren = Option<alloc_profiler::internal::ClosedInChildren>;
#[cfg(not(unix))]
pub(crate) type InChildren = ();

#[cfg(unix)]
fn close_in_children(descriptor: &impl std::os::fd::AsFd) -> InChildren {
    alloc_profiler::internal::Descriptor::of(descriptor).ok()?.close_in_children()
}

#[cfg(not(unix))]
fn close_in_children<S>(_: &S) {}

impl Bound {
    /// Listens on `endpoint`, and gives the real port back.
    pub(crate) fn to(endpoint: &Endpoint) -> Result<(Bound, Endpoint), Error> {
        match endpoint {
            Endpoint::Tcp(socket) => {
                let bind = || {
                    let listener = std::net::TcpListener::bind(socket)?;
                    let in_children = close_in_children(&listener);
                    // Connections inherit it.
                    socket2::SockRef::from(&listener).set_send_buffer_size(SEND_BUFFER_BYTES)?;
                    let bound = listener.local_addr()?;
                    listener.set_nonblocking(true)?;
                    Ok((Bound { socket: BoundSocket::Tcp(listener), in_children }, Endpoint::Tcp(bound)))
                };
                bind().map_err(|source| Error::Bind { address: *socket, source })
            }
            #[cfg(unix)]
            Endpoint::Unix(path) => {
                let bind = || {
                    let (listener, file) = socket_file::listen(path)?;
                    let in_children = close_in_children(&listener);
                    listener.set_nonblocking(true)?;
                    Ok((Bound { socket: BoundSocket::Unix(listener, file), in_children }, endpoint.clone()))
                };
                bind().map_err(|source| Error::Socket { path: path.clone(), source })
            }
            #[cfg(not(unix))]
            Endpoint::Unix(path) => {
                Err(Error::Socket { path: path.clone(), source: io::ErrorKind::Unsupported.into() })
            }
        }
    }

    /// The means by which the server knows whether its descriptors are still its own.
    pub(crate) fn own_descriptors(&self) -> OwnDescriptors {
        match &self.socket {
            BoundSocket::Tcp(listener) => OwnDescriptors::with(listener),
            #[cfg(unix)]
            BoundSocket::Unix(listener, _) => OwnDescriptors::with(listener),
        }
    }

    /// Fails where there are too few descriptors left for a runtime: one that a crate of the program has told to take
    /// signals needs more than ours does, and panics where it does not get them.
    pub(crate) fn check_room(&self) -> io::Result<()> {
        fn all<S>(copy: impl Fn() -> io::Result<S>) -> io::Result<()> {
            let copies: io::Result<Vec<S>> = (0..OF_A_RUNTIME).map(|_| copy()).collect();
            copies.map(drop)
        }
        match &self.socket {
            BoundSocket::Tcp(listener) => all(|| listener.try_clone()),
            #[cfg(unix)]
            BoundSocket::Unix(listener, _) => all(|| listener.try_clone()),
        }
    }

    /// Has the runtime that this is called in listen.
    pub(crate) fn register(self) -> io::Result<Listener> {
        let socket = match self.socket {
            BoundSocket::Tcp(listener) => {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                #[cfg(target_os = "linux")]
                signal_socket::forget(&listener);
                Socket::Tcp(listener)
            }
            #[cfg(unix)]
            BoundSocket::Unix(listener, file) => {
                let listener = tokio::net::UnixListener::from_std(listener)?;
                #[cfg(target_os = "linux")]
                signal_socket::forget(&listener);
                Socket::Unix { listener, _file: file }
            }
        };
        Ok(Listener { socket, _in_children: self.in_children })
    }
}

impl Listener {
    pub(crate) async fn accept(&self) -> io::Result<Client> {
        match &self.socket {
            Socket::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // If this fails, answers are only delayed.
                let _ = stream.set_nodelay(true);
                let in_children = close_in_children(&stream);
                Ok(Client { stream: Box::new(stream), peer: Peer::from(peer), in_children })
            }
            #[cfg(unix)]
            Socket::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                let in_children = close_in_children(&stream);
                Ok(Client { stream: Box::new(stream), peer: Peer::UNIX, in_children })
            }
        }
    }
}
