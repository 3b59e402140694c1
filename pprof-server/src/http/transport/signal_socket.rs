//! Takes the socket by which tokio hears of signals out of the server's runtime.
//!
//! If some crate of the program has asked tokio for its `signal` feature, every runtime polls a copy of one socket, and no
//! runtime can be made that does not. Ours takes no signals. When the program closes all its descriptors, as daemons do, the
//! socket's other end goes too, and tokio's driver reads from a number that is no longer its own, and panics. On its way
//! out, the panic closes numbers that may be the program's by then; and where the standard library checks that, it ends
//! the program. So the epoll instance of our runtime is told not to look at this socket.
//!
//! tokio does not tell which instance that is. It is the one that looks at our listening socket, which `/proc` tells. Where
//! there is no `/proc`, all stays as tokio made it.
//!
//! Path: *read path*, once for a server.

use alloc_profiler::internal::look_away;
use std::fs;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::PathBuf;

/// Has the runtime that polls `listener`, and nothing else that is a socket as yet, poll no other socket.
pub(super) fn forget(listener: &impl AsFd) {
    let listener = listener.as_fd().as_raw_fd();
    let Some(listening) = socket_at(listener) else { return };
    let polls_listener = |polled: &[RawFd]| polled.contains(&listener);
    // What is listed here changes all the time: each number is looked at for itself.
    for epoll in numbers() {
        let polled = polled_by(epoll).filter(|polled| polls_listener(polled)).unwrap_or_default();
        for other in polled {
            if socket_at(other).is_some_and(|socket| socket != listening) {
                // If this fails, the server goes on as it would without.
                // mutant: D10 the runtime polls the socket for signals
                let _ = look_away(epoll, other);
            }
        }
    }
}

/// Returns the numbers of all descriptors of this process.
fn numbers() -> Vec<RawFd> {
    let entries = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// What the descriptor stands for, if that is a socket: `socket:[12345]`.
fn socket_at(number: RawFd) -> Option<PathBuf> {
    let target = fs::read_link(format!("/proc/self/fd/{number}")).ok()?;
    target.to_str()?.starts_with("socket:").then_some(target)
}

/// The numbers that an epoll instance looks at. It is `None` if that is no epoll instance.
fn polled_by(epoll: RawFd) -> Option<Vec<RawFd>> {
    let link = fs::read_link(format!("/proc/self/fd/{epoll}")).ok()?;
    if link.to_str() != Some("anon_inode:[eventpoll]") {
        return None;
    }
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{epoll}")).ok()?;
    // `tfd:       10 events:       19 data:  …`
    let number = |line: &str| line.strip_prefix("tfd:")?.split_whitespace().next()?.parse().ok();
    Some(text.lines().filter_map(number).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// This crate's tests ask tokio for its `signal` feature.
    #[test]
    fn a_runtime_polls_our_listener_and_no_other_socket() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let _entered = runtime.enter();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let number = listener.as_raw_fd();
        let sockets = || -> Vec<RawFd> {
            let instances = numbers().into_iter().filter_map(polled_by);
            let ours = instances.into_iter().find(|polled| polled.contains(&number)).unwrap();
            ours.into_iter().filter(|&polled| socket_at(polled).is_some()).collect()
        };
        assert_eq!(sockets().len(), 2, "the listener's and that for signals");
        forget(&listener);
        assert_eq!(sockets(), [number]);
    }
}
