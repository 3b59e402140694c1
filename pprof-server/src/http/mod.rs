//! This serves `/debug/pprof/` over HTTP/1, as Go's `net/http/pprof` does, on threads of its own.
//!
//! ```text
//! transport ─▶ request ─────────────────▶ handler ─▶ workers ─▶ snapshots ─▶ response
//! (sockets,    (guard: who may ask;       (one        (threads   (what is     (page, profile, metrics …
//!  limits)      routes: what is asked)     answer)     that work)  encoded)      and their headers)
//! ```
//!
//! `request` decides from method, path, query and headers alone, and `handler` answers without a socket. So both are
//! tested as functions, and the handler can be mounted in any server. Only `transport` knows connections.
//! `builder` makes a server or a handler from the `options` that its owner sets.
//!
//! Path: *read path*. All work is done on threads whose allocations are left out of the profile.

mod builder;
mod handler;
mod options;
mod refusal;
mod request;
mod response;
mod snapshots;
mod transport;
mod workers;

pub use builder::{Builder, serve};
pub use handler::Handler;
#[cfg(fuzzing)]
pub(crate) use request::fuzz;
pub use response::answer::Body;
pub use transport::address::{Address, Endpoint};
pub use transport::server::Server;
pub use workers::waiters::Peer;
