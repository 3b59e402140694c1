//! `install!` puts the allocator and the server into one line. This is what that line calls.
//!
//! The host program calls it first thing in `main`. A profiler must not keep a program from starting: whatever goes wrong
//! here is one line on standard error that names the value and the remedy, and the program goes on.
//!
//! Path: *read path*; runs once.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use alloc_profiler::CAllocations;

use crate::Error;
use crate::environment::variable;
use crate::http::{Address, Builder, Endpoint, Handler, Server};
use crate::kept_files;
use crate::labels;
use crate::own_thread;
use crate::per_process::PerProcess;
use crate::standard_error::{tell, warn};
use crate::symbols;

#[doc(hidden)]
pub use std::alloc::System;

/// Where `install!()` serves unless told otherwise: the port Go's documentation uses.
#[doc(hidden)]
pub const DEFAULT_ADDRESS: &str = "127.0.0.1:6060";

/// Names the variable that overrides the address in the code.
const VARIABLE: &str = "PPROF_ADDR";
/// The variable that allows addresses which other machines can reach.
const REMOTE_VARIABLE: &str = "PPROF_ALLOW_REMOTE";

/// The time until an address in use is tried again. It doubles each time, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Said where waits were to be measured and cannot be.
const NO_LOCKS: &str = "waits for locks are not measured: another definition of `syscall` comes before ours, or the platform is not \
     Linux on x86-64 with glibc 2.35 or later; the profiles block and mutex will be empty";

/// Says what is wrong where C's allocations were to be counted, if anything is.
fn wrong_with_c_allocations(found: CAllocations) -> Option<&'static str> {
    // mutant: E112 what C allocates is silently not counted
    match found {
        CAllocations::NotCounted => Some(
            "what C and C++ code allocates is not counted: the program is linked statically, the C library is not glibc, or another \
             definition of `malloc` comes before ours",
        ),
        CAllocations::CountedWithRustTwice => Some(
            "Rust's allocations are counted twice, once as C's: the allocator given to `install!` calls `malloc`. Leave it out, or give \
             `alloc_profiler::CLibrary`",
        ),
        CAllocations::CountedDespitePreloaded => Some(
            "another allocator is preloaded (LD_PRELOAD), and C code does not get its memory from that: the program's own `malloc` comes \
             first. Start the program without it, or without `c_allocations`",
        ),
        _ => None,
    }
}

/// Makes a [`SamplingAllocator`](alloc_profiler::SamplingAllocator) the global allocator and serves
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
/// # // SAFETY: every call is passed on to the system's allocator, with the caller's own promises.
/// # unsafe impl std::alloc::GlobalAlloc for MiMalloc {
/// #     unsafe fn alloc(&self, layout: std::alloc::Layout) -> *mut u8 {
/// #         // SAFETY: the caller's own promise.
/// #         unsafe { std::alloc::System.alloc(layout) }
/// #     }
/// #     unsafe fn dealloc(&self, block: *mut u8, layout: std::alloc::Layout) {
/// #         // SAFETY: the caller's own promise.
/// #         unsafe { std::alloc::System.dealloc(block, layout) }
/// #     }
/// # }
/// pprof_server::install!("127.0.0.1:7070", labels = true, locks = true, allocator = MiMalloc);
/// ```
///
/// Each of these may be left out, and they may stand in any order. The address is anything [`serve`](crate::serve) takes. The
/// allocator is part of the program wherever the macro stands; the server starts when it is reached.
///
/// `c_allocations = true` defines `malloc` and the functions beside it for the whole program, as
/// [`define_malloc!`](alloc_profiler::define_malloc) does, so that what C and C++ code allocates is in the heap's profiles too, with the
/// label `allocator=c`. `c_allocations = mimalloc` and `c_allocations = jemalloc` have C's memory come from there. Rust's own comes
/// from [`CLibrary`](alloc_profiler::CLibrary) then, unless `allocator` names another, which must not call `malloc`.
///
/// `labels = true` has heap profiles tell samples apart by [`labels!`](crate::labels!), as
/// [`Builder::heap_labels`](crate::Builder::heap_labels) does. `locks = true` defines the function `syscall` for the whole program, as
/// [`define_syscall!`](crate::define_syscall!) does, so that `/debug/pprof/block` and `mutex` can tell who waits for locks.
///
/// The environment decides over the code: `PPROF_ADDR=127.0.0.1:7071` serves there, `PPROF_ADDR=unix:/path` on a
/// Unix socket, `PPROF_ADDR=off` does not serve. `PPROF_TOKEN` is a secret that every request must then carry.
/// Other addresses than loopback need that and `PPROF_ALLOW_REMOTE=1`. An empty variable counts as unset. The profiler's own
/// variables are read as by `alloc_profiler::init_from_env`.
///
/// The value is an `Option<SocketAddr>`: where profiles are served, or `None` if they are not, or on a Unix socket.
/// It also goes to standard error, in one line, unless `PPROF_QUIET=1`.
///
/// # Errors
///
/// None that stop the program: if the address cannot be used, a line on standard error says why and what to do,
/// and allocations are sampled all the same. A port or a Unix socket that is in use is tried again, after a second at
/// first and then up to a minute apart, until it is free; a line says so then.
///
/// # Where to write it
///
/// Threads, sockets and an epoll instance begin here. So it belongs after what changes a process as a whole: becoming a
/// daemon (`fork`, closing all descriptors), entering a sandbox, `unshare`, `setuid`. What the program allocates before is
/// sampled all the same.
///
/// A child of `fork` has no server. `install!` in it starts one: most often at another address, since the parent's is in
/// use as long as the parent lives.
#[macro_export]
macro_rules! install {
    // What was read of the arguments so far: address; allocator, if one was given; labels; locks; C's allocations. The rest follows.
    (@read $address:expr; ($($inner:path)?); $labels:expr; $locks:tt; $c:tt;) => {{
        $crate::install!(@allocator ($($inner)?) $c);
        $crate::install!(@locks $locks);
        $crate::install!(@c_allocations $c);
        let settings = $crate::install::Settings {
            has_labels: $labels,
            has_locks: $locks,
            has_c_allocations: $crate::install!(@has_c_allocations $c),
        };
        $crate::install::start($address, ::core::module_path!(), ::core::file!(), settings)
    }};
    (@allocator () false) => { $crate::install!(@allocator ($crate::install::System) false); };
    // Rust's allocations would come by C's functions.
    (@allocator () $c:tt) => { $crate::install!(@allocator ($crate::alloc_profiler::CLibrary) $c); };
    (@allocator ($inner:path) $c:tt) => {
        #[global_allocator]
        static PPROF_SERVER_ALLOCATOR: $crate::alloc_profiler::SamplingAllocator<$inner> =
            $crate::alloc_profiler::SamplingAllocator::with_allocator($inner);
    };
    (@locks true) => { $crate::define_syscall!(); };
    (@locks false) => {};
    (@c_allocations false) => {};
    (@c_allocations true) => { $crate::alloc_profiler::define_malloc!(); };
    (@c_allocations $over:ident) => { $crate::alloc_profiler::define_malloc!($over); };
    (@has_c_allocations false) => { false };
    (@has_c_allocations $c:tt) => { true };
    (@read $address:expr; $inner:tt; $labels:expr; $locks:tt; $c:tt; allocator = $given:path $(, $($rest:tt)*)?) => {
        $crate::install!(@read $address; ($given); $labels; $locks; $c; $($($rest)*)?)
    };
    (@read $address:expr; $inner:tt; $labels:expr; $locks:tt; $c:tt; locks = $given:tt $(, $($rest:tt)*)?) => {
        $crate::install!(@read $address; $inner; $labels; $given; $c; $($($rest)*)?)
    };
    (@read $address:expr; $inner:tt; $labels:expr; $locks:tt; $c:tt; labels = $given:expr $(, $($rest:tt)*)?) => {
        $crate::install!(@read $address; $inner; $given; $locks; $c; $($($rest)*)?)
    };
    (@read $address:expr; $inner:tt; $labels:expr; $locks:tt; $c:tt; c_allocations = $given:tt $(, $($rest:tt)*)?) => {
        $crate::install!(@read $address; $inner; $labels; $locks; $given; $($($rest)*)?)
    };
    (@read $address:expr; $inner:tt; $labels:expr; $locks:tt; $c:tt; $given:expr $(, $($rest:tt)*)?) => {
        $crate::install!(@read $given; $inner; $labels; $locks; $c; $($($rest)*)?)
    };
    ($($arguments:tt)*) => {
        $crate::install!(@read $crate::install::DEFAULT_ADDRESS; (); false; false; false; $($arguments)*)
    };
}

/// What `install!` has done in this process.
#[derive(Default)]
struct Installed {
    is_decided: bool,
    /// A static is never dropped: the server lives as long as the process.
    server: Option<Server>,
    /// What writes dumps where there is no server.
    dumps: Option<Handler>,
    /// What pushes profiles, if the environment names an engine.
    #[cfg(feature = "push")]
    push: Option<crate::Push>,
}

/// A child of `fork` has none of its parent's threads, so there `install!` counts anew.
static INSTALLED: PerProcess<Mutex<Installed>> = PerProcess::new();

/// Nothing under the lock can panic half-way.
fn installed() -> MutexGuard<'static, Installed> {
    INSTALLED.get(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

/// What `install!` was told beside the address and the allocator.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Heap profiles tell samples apart by labels.
    pub has_labels: bool,
    /// The program's `syscall` is ours.
    pub has_locks: bool,
    /// The program's `malloc` is ours.
    pub has_c_allocations: bool,
}

/// What `install!` does at run time, in the module at `module_path` and in the source file `file`. The first call in a process
/// counts; later ones only tell the address.
#[doc(hidden)]
pub fn start(
    address: impl Into<Address>,
    module_path: &'static str,
    file: &'static str,
    settings: Settings,
) -> Option<SocketAddr> {
    alloc_profiler::init_from_env();
    if settings.has_labels {
        labels::keep_heap_labels(true);
    }
    alloc_profiler::unsampled(|| {
        let mut installed = installed();
        if installed.server.as_ref().is_some_and(Server::is_lost) {
            // The program has become a daemon since, or something of that kind.
            installed.server = None;
            installed.is_decided = false;
        }
        if !installed.is_decided {
            installed.is_decided = true;
            symbols::note_own_crate(module_path, file);
            if settings.has_locks && !capture::sees_locks() {
                warn(NO_LOCKS);
            }
            if settings.has_c_allocations
                && let Some(what) = wrong_with_c_allocations(alloc_profiler::c_allocations())
            {
                warn(what);
            }
            installed.server = start_from_env(address.into());
            if installed.server.is_none() {
                installed.dumps = Server::builder().for_dumps();
            }
            #[cfg(feature = "push")]
            if installed.push.is_none() {
                installed.push = crate::push::start_from_env();
            }
        }
        match installed.server.as_ref()?.endpoint() {
            Endpoint::Tcp(socket) => Some(*socket),
            Endpoint::Unix(_) => None,
        }
    })
}

fn start_from_env(address: Address) -> Option<Server> {
    let (address, origin) = match variable(VARIABLE) {
        Some(value) if value.eq_ignore_ascii_case("off") => return None,
        Some(value) => (Address::from(value), " (from PPROF_ADDR)"),
        None => (address, ""),
    };
    let error = match builder().start(&address) {
        Ok(server) => {
            tell_start(&server);
            return Some(server);
        }
        Err(error) => error,
    };
    let outlook = match error.is_in_use() && try_again(address, origin).is_ok() {
        true => ("no heap profiles are served yet", "; trying again in the background until it is free"),
        false => ("no heap profiles will be served", ""),
    };
    tell_why_not(outlook, origin, &error);
    None
}

fn tell_why_not((what, and): (&str, &str), origin: &str, error: &Error) {
    warn(&format!(
        "{what}{origin}: {error}{and}. Set {VARIABLE}=127.0.0.1:PORT to serve elsewhere, or {VARIABLE}=off for \
         silence"
    ));
}

/// Serves as soon as the address is free: where a service is restarted without a gap, the program before this one is about
/// to end.
fn try_again(address: Address, origin: &'static str) -> io::Result<()> {
    let until_free = move || {
        let mut pause = FIRST_PAUSE;
        loop {
            std::thread::sleep(pause);
            pause = LONGEST_PAUSE.min(pause * 2);
            // mutant: D4 a port in use is tried again in a sandbox
            // The sandbox may kill whoever opens a socket.
            if kept_files::is_sandboxed() {
                return tell("no heap profiles will be served: the program has entered a sandbox meanwhile");
            }
            match builder().start(&address) {
                Ok(server) => {
                    tell_start(installed().server.insert(server));
                    return;
                }
                Err(error) if error.is_in_use() => {}
                Err(error) => return tell_why_not(("no heap profiles will be served", ""), origin, &error),
            }
        }
    };
    // The files that are kept tell whether the program has entered a sandbox.
    kept_files::keep();
    let unsampled = move || alloc_profiler::unsampled(until_free);
    own_thread::spawn("pprof-server", unsampled).map(drop)
}

/// A builder with what the environment says beside the address.
fn builder() -> Builder {
    let builder = Server::builder();
    match variable(REMOTE_VARIABLE) {
        Some(value) if value == "1" => builder.allow_remote(),
        _ => builder,
    }
}

fn tell_start(server: &Server) {
    tell_where(server.endpoint());
    // mutant: D6 what is missing is not told at the start
    tell_what_is_missing();
}

/// Says where the page is.
fn tell_where(endpoint: &Endpoint) {
    match endpoint {
        Endpoint::Tcp(socket) => tell(&format!("profiles at http://{socket}/debug/pprof/")),
        Endpoint::Unix(path) => {
            let path = path.display();
            tell(&format!(
                "profiles at unix:{path}: curl --unix-socket {path} http://localhost/debug/pprof/"
            ));
        }
    }
}

/// Says once what profiles of this program, or of the plugin that `install!` stands in, will lack, and how to build it so
/// that they lack nothing. To find out, it reads the headers of its file.
fn tell_what_is_missing() {
    let symbols = symbols::of_own_file();
    if symbols != symbols::FULL {
        tell(&format!("{symbols} (PPROF_QUIET=1 silences this)"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_c_allocations_is_told() {
        let told = [
            CAllocations::Counted,
            CAllocations::NotCounted,
            CAllocations::CountedWithRustTwice,
            CAllocations::CountedDespitePreloaded,
        ]
        .map(|found| wrong_with_c_allocations(found).map(|what| what.split(':').next().unwrap()));
        assert_eq!(told[0], None);
        assert!(told[1].unwrap().contains("not counted") && told[2].unwrap().contains("counted twice"));
        assert!(told[3].unwrap().contains("LD_PRELOAD"));
    }
}
