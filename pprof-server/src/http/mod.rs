//! `/debug/pprof/` over HTTP/1, as Go's `net/http/pprof` serves it, on one thread of its own.
//!
//! ```text
//! server ─▶ guard ─▶ routes ─▶ handler ─▶ answer
//! (sockets)  (Host)  (what is   (index, heap, (headers)
//!                     asked)     symbol, …)
//! ```
//!
//! `routes` decides from method, path and query alone, and `handler` answers without a socket, so both are
//! tested as functions. Only `server` and `stream` know about connections.
//!
//! Path: *read path*. Everything here runs on the server's thread, whose allocations are left out of the
//! profile.

pub(crate) mod address;
mod server;
mod stream;

mod guard;
mod options;
mod parameters;
mod query;
mod routes;

mod answer;
mod clients;
mod handler;
mod index;
mod metrics;
mod symbol;

pub(crate) use handler::Handler;
pub use server::{Server, serve};
