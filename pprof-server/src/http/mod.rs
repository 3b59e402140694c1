//! `/debug/pprof/` over HTTP/1, as Go's `net/http/pprof` serves it, on one thread of its own.
//!
//! ```text
//! server ─▶ guard ──▶ routes ─▶ handler ─▶ worker ─▶ answer
//! (sockets)  (Host,    (what is   (index, heap, (waits, (headers)
//!             token)    asked)     symbol)      encodes)
//! ```
//!
//! `routes` decides from method, path and query alone (`profile_request`: which profile), and `handler` answers without a
//! socket (`profile`: with one), so both are tested as functions, and `handler` can be mounted in any server. Only
//! `server`, `places` and `stream` know about connections.
//!
//! Path: *read path*. All work is done on threads whose allocations are left out of the profile.

mod accept;
mod address;
mod builder;
mod listener;
mod own_descriptors;
mod places;
mod server;
#[cfg(unix)]
mod socket_file;
mod stream;

mod guard;
mod options;
mod parameters;
mod profile_request;
mod query;
mod refusal;
mod routes;
mod token;
mod unknown;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;

mod answer;
mod assets;
mod clients;
mod executor;
mod handler;
mod index;
mod metrics;
mod metrics_format;
mod profile;
mod symbol;
mod timeline;
mod waiters;
mod worker;

pub use address::{Address, Endpoint};
pub use answer::Body;
pub use builder::ServerBuilder;
pub use handler::Handler;
pub use server::{Server, serve};
pub use waiters::Peer;
