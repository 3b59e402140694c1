//! Which address to listen on: one, and only on loopback.
//!
//! Called by `server` and by `install!`. A name may stand for several addresses; we take one, IPv4 first, so that
//! what we print is where we are. Trying the next one when a port is in use, as the standard library does,
//! would leave the user talking to the other program.
//!
//! Path: *read path*. May ask the resolver, on the caller's thread.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use crate::Error;

/// The loopback address that `address` stands for.
pub(crate) fn resolve(address: impl ToSocketAddrs + fmt::Debug) -> Result<SocketAddr, Error> {
    let as_given = || format!("{address:?}").trim_matches('"').to_owned();
    let resolved: Vec<SocketAddr> = match address.to_socket_addrs() {
        Ok(addresses) => addresses.collect(),
        Err(source) => return Err(Error::Resolve { address: as_given(), source }),
    };
    let is_loopback = |address: &&SocketAddr| address.ip().to_canonical().is_loopback();
    let loopback = || resolved.iter().filter(is_loopback);
    match (loopback().find(|address| address.is_ipv4()).or(loopback().next()), resolved.first()) {
        (Some(address), _) => Ok(*address),
        (None, Some(first)) => Err(Error::NotLoopback { address: as_given(), resolved: *first }),
        (None, None) => {
            let source = io::Error::new(io::ErrorKind::NotFound, "it stands for no address");
            Err(Error::Resolve { address: as_given(), source })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(resolve(&[outside, v6, v4][..]).unwrap(), v4);
        assert_eq!(resolve(v6).unwrap(), v6);
    }

    #[test]
    fn everything_else_is_refused_by_name() {
        for address in ["0.0.0.0:6060", "[::]:6060", "192.0.2.1:6060", "[::ffff:192.0.2.1]:6060"] {
            let error = resolve(address).unwrap_err();
            assert!(matches!(error, Error::NotLoopback { .. }), "{error:?}");
            assert!(error.to_string().contains(address), "{error}");
        }
        for address in ["banana", "6060", "127.0.0.1", "127.0.0.1:99999", ""] {
            let error = resolve(address).unwrap_err();
            assert!(matches!(error, Error::Resolve { .. }), "{error:?}");
            assert!(error.to_string().starts_with(&format!("cannot serve on {address}: ")), "{error}");
        }
        assert!(matches!(resolve(&[][..]).unwrap_err(), Error::Resolve { .. }));
    }
}
