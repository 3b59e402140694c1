//! This module carries requests and answers: it has sockets, connections and what each may take.
//!
//! Path: *read path*. Everything here runs on the server's own thread.

pub(super) mod address;
mod connections;
pub(super) mod listener;
mod own_descriptors;
pub(super) mod server;
#[cfg(target_os = "linux")]
mod signal_socket;
mod slots;
#[cfg(unix)]
mod socket_file;
mod stream;
