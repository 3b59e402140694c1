//! This decides which address to listen on: one, and only on loopback or a Unix socket unless remote clients were
//! allowed.
//!
//! `builder` calls this. A name may stand for several addresses; we take one, IPv4 first, so that
//! what we print is where we are. Trying the next one when a port is in use, as the standard library does,
//! would leave the user talking to the other program.
//!
//! Path: *read path*. It may ask the resolver, on the caller's thread.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use crate::Error;

/// Where a server shall listen: `"127.0.0.1:6060"`, `"localhost:6060"`, `":6060"`, `"unix:/run/app/pprof.sock"`, or an
/// address of [`std::net`].
///
/// `":6060"` is `"127.0.0.1:6060"`, also where remote addresses are allowed. (Go's means every address of the machine:
/// here that is written `"0.0.0.0:6060"`.)
#[derive(Clone, Debug)]
pub struct Address(Given);

#[derive(Clone, Debug)]
enum Given {
    Text(String),
    Sockets(Vec<SocketAddr>),
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// It is an IP address and a port.
    Tcp(SocketAddr),
    /// It is the file of a Unix socket.
    Unix(PathBuf),
}

impl From<&str> for Address {
    fn from(text: &str) -> Address {
        Address(Given::Text(text.to_owned()))
    }
}

impl From<String> for Address {
    fn from(text: String) -> Address {
        Address(Given::Text(text))
    }
}

impl From<&String> for Address {
    fn from(text: &String) -> Address {
        Address::from(text.as_str())
    }
}

impl From<SocketAddr> for Address {
    fn from(socket: SocketAddr) -> Address {
        Address(Given::Sockets(vec![socket]))
    }
}

impl From<&[SocketAddr]> for Address {
    fn from(sockets: &[SocketAddr]) -> Address {
        Address(Given::Sockets(sockets.to_vec()))
    }
}

impl From<(IpAddr, u16)> for Address {
    fn from(pair: (IpAddr, u16)) -> Address {
        Address::from(SocketAddr::from(pair))
    }
}

impl From<(&str, u16)> for Address {
    fn from((host, port): (&str, u16)) -> Address {
        Address(Given::Text(format!("{host}:{port}")))
    }
}

/// Writes the address as it was given.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Given::Text(text) => f.write_str(text),
            Given::Sockets(sockets) => match &sockets[..] {
                [socket] => socket.fmt(f),
                sockets => fmt::Debug::fmt(sockets, f),
            },
        }
    }
}

/// Writes `127.0.0.1:6060`, or `unix:/run/app/pprof.sock`.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Tcp(socket) => socket.fmt(f),
            Endpoint::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Address {
    /// The one endpoint it stands for.
    pub(crate) fn resolve(&self, is_remote_allowed: bool) -> Result<Endpoint, Error> {
        let sockets: Vec<SocketAddr> = match &self.0 {
            Given::Text(text) => match text.strip_prefix("unix:") {
                Some(path) => return Ok(Endpoint::Unix(PathBuf::from(path))),
                None => {
                    let address = || text.clone();
                    // For Go that is all of the machine's addresses; here it is what only this machine reaches.
                    let resolved = match text.strip_prefix(':') {
                        Some(port) => format!("127.0.0.1:{port}").to_socket_addrs(),
                        None => text.to_socket_addrs(),
                    };
                    resolved.map_err(|source| Error::Resolve { address: address(), source })?.collect()
                }
            },
            Given::Sockets(sockets) => sockets.clone(),
        };
        let ipv4_first = |wanted: fn(&SocketAddr) -> bool| {
            let wanted = || sockets.iter().filter(|socket| wanted(socket));
            wanted().find(|socket| socket.is_ipv4()).or(wanted().next())
        };
        let Some(first) = ipv4_first(|_| true) else {
            let source = io::Error::new(io::ErrorKind::NotFound, "it stands for no address");
            return Err(Error::Resolve { address: self.to_string(), source });
        };
        match ipv4_first(is_loopback) {
            Some(socket) => Ok(Endpoint::Tcp(*socket)),
            None if is_remote_allowed => Ok(Endpoint::Tcp(*first)),
            None => Err(Error::NotLoopback { address: self.to_string(), resolved: *first }),
        }
    }
}

/// True if only this machine reaches it.
pub(crate) fn is_loopback(socket: &SocketAddr) -> bool {
    socket.ip().to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(address: impl Into<Address>) -> Result<SocketAddr, Error> {
        match address.into().resolve(false)? {
            Endpoint::Tcp(socket) => Ok(socket),
            Endpoint::Unix(path) => panic!("{path:?}"),
        }
    }

    #[test]
    fn loopback_is_taken_ipv4_first() {
        let v4: SocketAddr = "127.0.0.1:1".parse().unwrap();
        let v6: SocketAddr = "[::1]:1".parse().unwrap();
        let outside: SocketAddr = "192.0.2.1:1".parse().unwrap();
        assert_eq!(resolve("127.0.0.1:6060").unwrap().to_string(), "127.0.0.1:6060");
        assert_eq!(resolve("127.1.2.3:0").unwrap().to_string(), "127.1.2.3:0");
        assert_eq!(resolve("[::1]:6060").unwrap().to_string(), "[::1]:6060");
        assert_eq!(resolve("[::ffff:127.0.0.1]:1").unwrap().to_string(), "[::ffff:127.0.0.1]:1");
        assert_eq!(resolve("localhost:7").unwrap().to_string(), "127.0.0.1:7");
        assert_eq!(resolve(("localhost", 7)).unwrap().to_string(), "127.0.0.1:7");
        assert_eq!(resolve(":6060").unwrap().to_string(), "127.0.0.1:6060");
        assert_eq!(Address::from(":0").resolve(true).unwrap().to_string(), "127.0.0.1:0");
        assert_eq!(resolve(&[outside, v6, v4][..]).unwrap(), v4);
        assert_eq!(resolve(v6).unwrap(), v6);
        // The safer of the two, even where both would do.
        let both = Address::from(&[outside, v6][..]);
        assert_eq!(both.resolve(true).unwrap(), Endpoint::Tcp(v6));
    }

    #[test]
    fn everything_else_is_refused_by_name() {
        for address in ["0.0.0.0:6060", "[::]:6060", "192.0.2.1:6060", "[::ffff:192.0.2.1]:6060"] {
            let error = resolve(address).unwrap_err();
            assert!(matches!(error, Error::NotLoopback { .. }), "{error:?}");
            assert!(error.to_string().contains(address), "{error}");
            let allowed = Address::from(address).resolve(true).unwrap();
            assert_eq!(allowed.to_string(), address);
        }
        for address in ["banana", "6060", "127.0.0.1", "127.0.0.1:99999", ":", ":x", "::6060", ""] {
            let error = resolve(address).unwrap_err();
            assert!(matches!(error, Error::Resolve { .. }), "{error:?}");
            assert!(error.to_string().starts_with(&format!("cannot serve on {address}: ")), "{error}");
        }
        assert!(matches!(resolve(&[][..]).unwrap_err(), Error::Resolve { .. }));
    }

    #[test]
    fn a_unix_socket_is_a_path() {
        let endpoint = Address::from("unix:/run/app/pprof.sock").resolve(false).unwrap();
        assert_eq!(endpoint, Endpoint::Unix("/run/app/pprof.sock".into()));
        assert_eq!(endpoint.to_string(), "unix:/run/app/pprof.sock");
    }
}
