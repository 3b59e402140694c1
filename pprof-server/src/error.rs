//! These errors say what can go wrong before a profile is served, or when one is written to a file.
//!
//! Every message names the value that was wrong and what to do about it, so that it can be printed as it is.
//! What goes wrong while serving becomes an HTTP status and never reaches the host program.
//!
//! Path: *read path*.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Why a server could not be started, or a profile not be written.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The address is not `host:port`, or the host has no address.
    Resolve {
        /// The address as it was given.
        address: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// The address can be reached from other machines, which nobody has allowed. Profiles show code layout, file
    /// paths and addresses.
    NotLoopback {
        /// The address as it was given.
        address: String,
        /// The first address it stands for.
        resolved: SocketAddr,
    },
    /// The address can be reached from other machines, which is allowed, but there is no token.
    NoToken {
        /// The address as it was given.
        address: String,
    },
    /// The token is too short, or cannot be sent in a header. It is a secret, so it is not shown.
    Token {
        /// How many characters it has.
        length: usize,
    },
    /// What was given to `allow_host` is no host name.
    Host {
        /// The name as it was given.
        host: String,
    },
    /// The longest delta is out of range: from 1 s to 24 hours.
    MaxDelta {
        /// The time as it was given.
        time: Duration,
    },
    /// The time between two records is out of range: from 1 s to 1 hour.
    RecordPeriod {
        /// The time as it was given.
        time: Duration,
    },
    /// A setting of [`push`](https://docs.rs/pprof-server/latest/pprof_server/fn.push.html) will not do.
    Push {
        /// What is set, such as "the URL". Of a secret, the value is not shown.
        setting: String,
        /// What it may be.
        remedy: &'static str,
    },
    /// The operating system refused to make a Unix socket, or one is there and in use.
    Socket {
        /// The path as it was given.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The operating system refused to listen: most often the port is in use.
    Bind {
        /// Tells which address was tried.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// The server's thread or its event loop could not be created.
    Start {
        /// What the operating system said.
        source: io::Error,
    },
    /// A profile could not be written to a file.
    Write {
        /// The path as it was given.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl Error {
    /// Whether somebody else listens there, who may end.
    #[cfg(feature = "http")]
    pub(crate) fn is_in_use(&self) -> bool {
        match self {
            Error::Bind { source, .. } | Error::Socket { source, .. } => {
                source.kind() == io::ErrorKind::AddrInUse
            }
            _ => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Resolve { address, source } => {
                write!(f, "cannot serve on {address}: {source}; an address looks like 127.0.0.1:6060")
            }
            Error::NotLoopback { address, resolved } => refused_remote(f, address, *resolved),
            Error::NoToken { address } => write!(
                f,
                "refused to serve on {address}: other machines could reach it, and there is no token; set \
                 PPROF_TOKEN, or call token(), to a secret such as `openssl rand -hex 16` prints"
            ),
            Error::Token { length } => write!(
                f,
                "refused the token of {length} characters: it must be at least 16 visible ASCII characters without \
                 spaces, such as `openssl rand -hex 16` prints"
            ),
            Error::Host { host } => {
                write!(
                    f,
                    "{host:?} is no host name; write it without scheme and port, as in profiles.example.org"
                )
            }
            Error::MaxDelta { time } => {
                write!(f, "a longest delta of {time:?} will not do; give one from 1 s to 24 hours")
            }
            Error::RecordPeriod { time } => {
                write!(f, "a record every {time:?} will not do; give a time from 1 s to 1 hour, or none")
            }
            Error::Socket { path, source } => write!(
                f,
                "cannot listen on unix:{path}: {source}; choose a path in a folder that is there and may be written \
                 to, where no other file is",
                path = path.display()
            ),
            Error::Bind { address, source } => {
                write!(
                    f,
                    "cannot listen on {address}: {source}; choose another port, or port 0 for any free one"
                )
            }
            Error::Push { setting, remedy } => {
                write!(f, "cannot push profiles: {setting} will not do: {remedy}")
            }
            Error::Start { source } => write!(f, "cannot start the server's thread: {source}"),
            Error::Write { path, source } => {
                write!(
                    f,
                    "cannot write a heap profile to {}: {source}; the path must name a file, in a folder that is \
                     there and may be written to",
                    path.display()
                )
            }
        }
    }
}

fn refused_remote(f: &mut fmt::Formatter<'_>, address: &str, resolved: SocketAddr) -> fmt::Result {
    write!(f, "refused to serve on {address}")?;
    if address != resolved.to_string() {
        write!(f, " ({resolved})")?;
    }
    write!(
        f,
        ": other machines could reach it; serve on 127.0.0.1:{port} and forward the port, for example with `ssh -L \
         {port}:127.0.0.1:{port} HOST` or `kubectl port-forward POD {port}`, or allow it with allow_remote() \
         (PPROF_ALLOW_REMOTE=1 for install!) and a token (PPROF_TOKEN)",
        port = resolved.port()
    )
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::NotLoopback { .. }
            | Error::NoToken { .. }
            | Error::Token { .. }
            | Error::Host { .. }
            | Error::MaxDelta { .. }
            | Error::RecordPeriod { .. }
            | Error::Push { .. } => None,
            Error::Resolve { source, .. }
            | Error::Socket { source, .. }
            | Error::Bind { source, .. }
            | Error::Start { source }
            | Error::Write { source, .. } => Some(source),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_the_value_and_the_remedy() {
        let refused = Error::NotLoopback {
            address: "0.0.0.0:6060".to_owned(),
            resolved: SocketAddr::from(([0, 0, 0, 0], 6060)),
        };
        let text = refused.to_string();
        assert!(text.starts_with("refused to serve on 0.0.0.0:6060: "), "{text}");
        assert!(text.contains("ssh -L 6060:127.0.0.1:6060"), "{text}");
        assert!(text.contains("allow_remote()") && text.contains("PPROF_TOKEN"), "{text}");

        let in_use = Error::Bind {
            address: SocketAddr::from(([127, 0, 0, 1], 6060)),
            source: io::ErrorKind::AddrInUse.into(),
        };
        assert!(in_use.to_string().starts_with("cannot listen on 127.0.0.1:6060: "), "{in_use}");
        assert!(std::error::Error::source(&in_use).is_some());

        let unwritable =
            Error::Write { path: "/nowhere/heap.out".into(), source: io::ErrorKind::NotFound.into() };
        assert!(unwritable.to_string().starts_with("cannot write a heap profile to /nowhere/heap.out: "));
    }
}
