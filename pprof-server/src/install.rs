//! `install!`: the allocator and the server in one line, and what that line calls.
//!
//! Called by the host program, first thing in `main`. A profiler must not keep a program from starting: whatever
//! goes wrong here is one line on standard error that names the value and the remedy, and the program goes on.
//!
//! Path: *read path*; runs once.

use std::fmt;
use std::io::Write;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::OnceLock;

use crate::Error;
use crate::http::{Server, address::resolve};

#[doc(hidden)]
pub use std::alloc::System;

/// Where `install!()` serves unless told otherwise: the port Go's documentation uses.
#[doc(hidden)]
pub const DEFAULT_ADDRESS: &str = "127.0.0.1:6060";

/// The variable that overrides the address in the code.
const VARIABLE: &str = "PPROF_ADDR";

/// Makes a [`SamplingAllocator`](crate::SamplingAllocator) the global allocator and serves
/// `http://127.0.0.1:6060/debug/pprof/` until the process ends.
///
/// Write it as the first statement of `main`:
///
/// ```no_run
/// pprof_server::install!();
/// ```
///
/// Another address, and another allocator than the system's (a path that is both a type and its only value, as
/// allocators are):
///
/// ```no_run
/// # struct MiMalloc;
/// # unsafe impl std::alloc::GlobalAlloc for MiMalloc {
/// #     unsafe fn alloc(&self, layout: std::alloc::Layout) -> *mut u8 {
/// #         unsafe { std::alloc::System.alloc(layout) }
/// #     }
/// #     unsafe fn dealloc(&self, block: *mut u8, layout: std::alloc::Layout) {
/// #         unsafe { std::alloc::System.dealloc(block, layout) }
/// #     }
/// # }
/// pprof_server::install!("127.0.0.1:7070", allocator = MiMalloc);
/// ```
///
/// `install!("127.0.0.1:7070")` and `install!(allocator = MiMalloc)` work too. The address is anything
/// [`serve`](crate::serve) takes. The allocator is part of the program wherever the macro stands; the server
/// starts when it is reached.
///
/// The environment decides over the code: `PPROF_ADDR=127.0.0.1:7071` serves there, `PPROF_ADDR=off` does not
/// serve. Empty is as unset. The profiler's own variables are read as by `alloc_profiler::init_from_env`.
///
/// The value is an `Option<SocketAddr>`: where profiles are served, or `None` if they are not. With port 0 the
/// address also goes to standard error.
///
/// # Errors
///
/// None that stop the program: if the address cannot be used, a line on standard error says why and what to do,
/// and allocations are sampled all the same.
#[macro_export]
macro_rules! install {
    () => {
        $crate::install!(allocator = $crate::install::System)
    };
    (allocator = $inner:path $(,)?) => {
        $crate::install!($crate::install::DEFAULT_ADDRESS, allocator = $inner)
    };
    (allocator = $inner:path, $address:expr $(,)?) => {
        $crate::install!($address, allocator = $inner)
    };
    ($address:expr $(,)?) => {
        $crate::install!($address, allocator = $crate::install::System)
    };
    ($address:expr, allocator = $inner:path $(,)?) => {{
        #[global_allocator]
        static PPROF_SERVER_ALLOCATOR: $crate::SamplingAllocator<$inner> =
            $crate::SamplingAllocator::with_allocator($inner);
        $crate::install::start($address)
    }};
}

/// What `install!` does at run time. The first call counts; later ones only tell the address.
#[doc(hidden)]
pub fn start(address: impl ToSocketAddrs + fmt::Debug) -> Option<SocketAddr> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    alloc_profiler::init_from_env();
    alloc_profiler::unsampled(|| {
        // A static is never dropped: the server lives as long as the process.
        SERVER.get_or_init(|| start_from_env(address)).as_ref().map(Server::local_addr)
    })
}

fn start_from_env(address: impl ToSocketAddrs + fmt::Debug) -> Option<Server> {
    let variable = std::env::var_os(VARIABLE).map(|value| value.to_string_lossy().trim().to_owned());
    let (resolved, origin) = match variable.as_deref() {
        Some(value) if value.eq_ignore_ascii_case("off") => return None,
        Some(value) if !value.is_empty() => (resolve(value), " (from PPROF_ADDR)"),
        _ => (resolve(address), ""),
    };
    match resolved.and_then(start_and_tell) {
        Ok(server) => Some(server),
        Err(error) => {
            warn(&format!(
                "no heap profiles will be served{origin}: {error}. Set {VARIABLE}=127.0.0.1:PORT to serve \
                 elsewhere, or {VARIABLE}=off for silence"
            ));
            None
        }
    }
}

/// Starts the server; tells the port if nobody can know it.
fn start_and_tell(address: SocketAddr) -> Result<Server, Error> {
    let server = Server::start(address, crate::http::Handler::new())?;
    if address.port() == 0 {
        warn(&format!("serving http://{}/debug/pprof/", server.local_addr()));
    }
    Ok(server)
}

/// One line on standard error. `eprintln!` would panic where standard error is a closed pipe.
pub(crate) fn warn(text: &str) {
    let _ = std::io::stderr().write_all(format!("pprof-server: {text}\n").as_bytes());
}
