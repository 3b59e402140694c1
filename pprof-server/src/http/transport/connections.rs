//! The server's thread takes a bounded number of connections, and serves one request on each.
//!
//! `server` starts this. The runtime and all sockets live and end here. Whatever a client does is bounded in time and memory.
//!
//! Path: *read path*.

use std::convert::Infallible;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use hyper::Request;
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::address::Endpoint;
use super::listener::{Bound, Client, Listener};
use super::own_descriptors::OwnDescriptors;
use super::slots::{MAX_CONNECTIONS, Slot, Slots};
use super::stream::BoundedStream;
use crate::http::handler::Handler;
use crate::http::response::symbol::MAX_BODY_BYTES;

/// The longest time for a request's head to arrive.
const MAX_HEAD_TIME: Duration = Duration::from_secs(5);
/// Limits the head of a request, in bytes. It is also how much of an answer hyper buffers.
const MAX_HEAD_BYTES: usize = 32 * 1024;
const MAX_HEADERS: usize = 64;
/// Limits the life of a connection, beside the longest delta.
const MAX_CONNECTION_TIME: Duration = Duration::from_secs(90);
/// The pause after a failed accept: when file descriptors run out, trying at once would burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The longest time until the thread looks whether its socket has been closed.
const LOOK_AFTER: Duration = Duration::from_secs(5);
/// The time for the last answers to be made when the server stops: only a machine that is busy needs any.
const LAST_ANSWERS: Duration = Duration::from_secs(2);
/// The time for the last answers to leave, once they are made.
const STOP_GRACE: Duration = Duration::from_millis(50);

/// What the thread serves, and where it does so.
pub(crate) struct Serving {
    pub(crate) endpoint: Endpoint,
    pub(crate) own: OwnDescriptors,
    pub(crate) handler: Handler,
}

impl Serving {
    /// Makes a runtime, and has it listen on `bound`.
    pub(crate) fn register(&self, bound: Bound) -> io::Result<(Runtime, Listener)> {
        // mutant: D2 the worker's failure is the program's panic
        bound.check_room()?;
        let own = self.own.clone();
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .on_thread_unpark(move || own.look())
            .build()?;
        let entered = runtime.enter();
        let listener = bound.register()?;
        drop(entered);
        Ok((runtime, listener))
    }

    /// Serves until the server stops, or its descriptors are lost.
    pub(crate) fn run(self, runtime: Runtime, listener: Listener, stopping: watch::Receiver<()>) {
        let Serving { endpoint, own, handler } = self;
        let mut accepting = Box::pin(accept(listener, handler.clone(), own.clone(), stopping));
        let serving = AssertUnwindSafe(|| runtime.block_on(own.until_lost(accepting.as_mut())));
        let is_lost = match catch_unwind(serving) {
            Ok(ended) => ended.is_none(),
            // The panic hook has printed the panic, which is not the host's.
            Err(_panic) => own.are_lost(),
        };
        own.leave();
        if !is_lost {
            return;
        }
        // Dropping them would close numbers that are another's by now.
        std::mem::forget((accepting, runtime));
        handler.shutdown();
        crate::standard_error::warn(&format!(
            "no more heap profiles are served on {endpoint}: the program has closed all descriptors, the server's too; \
             start it after that"
        ));
    }
}

/// Accepts connections until the server stops.
async fn accept(
    listener: Listener,
    handler: Handler,
    own: OwnDescriptors,
    mut stopping: watch::Receiver<()>,
) {
    let mut connections = JoinSet::new();
    let mut slots = Slots::default();
    loop {
        let look_again = slots.make_room();
        tokio::select! {
            biased;
            _ = stopping.changed() => break,
            // This frees the slot. What went wrong in a connection stays there.
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok(client) => {
                    let slot = slots.slot();
                    let connection = serve_connection(client, handler.clone(), slot.clone());
                    let own = own.clone();
                    slots.take(slot, connections.spawn(async move { own.guard(connection).await }));
                }
                Err(_) => {
                    let _ = timeout(ACCEPT_PAUSE, stopping.changed()).await;
                }
            },
            () = slots.hold_more() => {}
            // The thread looks whether the socket is ours whenever it wakes.
            () = sleep(LOOK_AFTER) => {}
            () = sleep_until(look_again.unwrap_or_else(Instant::now)), if look_again.is_some() => {}
        }
    }
    // mutant: D15 who waits is cut when the server stops (2)
    answer_the_last(&mut connections, &slots).await;
    // The listener goes last, since it tells what is ours. The file of a Unix socket goes with it.
    drop(listener);
}

/// Lets everyone who waits get an answer, which each of them is given at once since the workers have ended, and gives the
/// answers some time to leave.
async fn answer_the_last(connections: &mut JoinSet<()>, slots: &Slots) {
    let answered = async {
        while slots.is_anyone_waiting() {
            tokio::select! {
                _ = connections.join_next() => {}
                () = slots.hold_more() => {}
            }
        }
    };
    let _ = timeout(LAST_ANSWERS, answered).await;
    let _ = timeout(STOP_GRACE, async { while connections.join_next().await.is_some() {} }).await;
}

/// Serves one request. Connections are not kept alive: each takes a slot, and clients ask once in many seconds.
async fn serve_connection(client: Client, handler: Handler, slot: Slot) {
    let Client { stream, peer, in_children: _in_children } = client;
    let max_time = handler.max_delta() + MAX_CONNECTION_TIME;
    let answering = slot.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        let (handler, slot) = (handler.clone(), answering.clone());
        async move {
            request.extensions_mut().insert(peer);
            if request.body().is_end_stream() {
                slot.waits();
            } else {
                let length = request.body().size_hint().upper().unwrap_or(MAX_BODY_BYTES as u64);
                // Nothing is read of a longer one.
                slot.sends(usize::try_from(length).unwrap_or(usize::MAX).min(MAX_BODY_BYTES));
            }
            let answer = handler.respond(request).await;
            slot.takes(usize::try_from(answer.body().size_hint().lower()).unwrap_or(usize::MAX));
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = http1::Builder::new()
        // Without a timer hyper would silently not apply the timeout.
        .timer(TokioTimer::new())
        .header_read_timeout(MAX_HEAD_TIME)
        .keep_alive(false)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(BoundedStream::new(stream, slot)), service);
    // An error is the client's: it left, was too slow, or did not speak HTTP.
    let _ = timeout(max_time, connection).await;
}
