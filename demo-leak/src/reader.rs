//! Reads from one client, and knows how fast the client has been sending lately: the leak and its fix.
//!
//! Customers report disconnects, so the proxy logs with each how much had been coming in. For that a reader
//! has a task of its own, which notes down the count of bytes at every tick in a window of some minutes. The
//! task loops on the ticks. What ends it?
//!
//! In the *leaking* variant, nothing does. [`Reader::stop`] stops the ticker, which leaves the channel open. One would
//! think that the channel closes once the connection is over and the reader is dropped; but the task holds the reader,
//! the reader holds the ticker, and the ticker holds the sender that the task waits for. So for each client that ever
//! came there is a task, its window and its channel, for ever.
//!
//! In the *fixed* variant, a second channel does, `done`. The loop waits for both channels, and returns on `done`.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

use crate::ticker::Ticker;

/// How much time lies between two samples of the window.
const SAMPLE_PERIOD: Duration = Duration::from_millis(50);
/// How many samples the window has. They take 48 KiB and cover 100 s.
const WINDOW_SAMPLES: usize = 2048;
/// How many bytes are read from the client at once.
const CHUNK_BYTES: usize = 4096;

/// Whether the reader leaks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Variant {
    Leaking,
    Fixed,
}

/// What the client had sent at one moment.
#[derive(Clone, Copy)]
struct Sample {
    at: Instant,
    bytes_read: u64,
}

/// See the module.
pub(crate) struct Reader {
    ticker: Ticker,
    /// Tells the task to end. `None` is the leak.
    done: Option<mpsc::Sender<()>>,
    bytes_read: AtomicU64,
    recent_bytes_per_second: AtomicU64,
}

impl Reader {
    /// Starts the task that keeps the window.
    pub(crate) fn start(variant: Variant) -> Arc<Reader> {
        let (ticker, ticks) = Ticker::start(SAMPLE_PERIOD);
        // The biggest thing that lives as long as the task: this is the line that the profile must name.
        let window = vec![Sample { at: Instant::now(), bytes_read: 0 }; WINDOW_SAMPLES];
        match variant {
            Variant::Leaking => {
                let reader = Arc::new(Reader::new(ticker, None));
                // THE LEAK: this task is never told to end. A `done` channel as below is missing.
                tokio::spawn(reader.clone().sample_for_ever(ticks, window));
                reader
            }
            Variant::Fixed => {
                let (done, is_done) = mpsc::channel(1);
                let reader = Arc::new(Reader::new(ticker, Some(done)));
                tokio::spawn(reader.clone().sample_until_done(ticks, is_done, window));
                reader
            }
        }
    }

    fn new(ticker: Ticker, done: Option<mpsc::Sender<()>>) -> Reader {
        Reader { ticker, done, bytes_read: AtomicU64::new(0), recent_bytes_per_second: AtomicU64::new(0) }
    }

    /// Stops the ticks and, with the fix, the task.
    pub(crate) fn stop(&self) {
        // Looks sufficient, and is not: a stopped ticker's channel stays open.
        self.ticker.stop();
        if let Some(done) = &self.done {
            // Full means that it has been said before.
            let _ = done.try_send(());
        }
    }

    /// Passes on what the client sends until it has no more to say.
    pub(crate) async fn forward(
        &self,
        client: &mut OwnedReadHalf,
        upstream: &mut OwnedWriteHalf,
    ) -> io::Result<()> {
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let length = client.read(&mut chunk).await?;
            if length == 0 {
                break;
            }
            self.bytes_read.fetch_add(length as u64, Relaxed);
            upstream.write_all(&chunk[..length]).await?;
        }
        // The last bytes belong into the window too.
        self.ticker.tick_now();
        upstream.shutdown().await
    }

    /// What the client has sent in all.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Relaxed)
    }

    /// How fast the client was sending, over the window.
    pub(crate) fn recent_bytes_per_second(&self) -> u64 {
        self.recent_bytes_per_second.load(Relaxed)
    }

    async fn sample_for_ever(self: Arc<Self>, mut ticks: mpsc::Receiver<Instant>, mut window: Vec<Sample>) {
        let mut next = 0;
        // THE LEAK, seen from inside: the loop has no stop condition. `recv` would return `None` once all senders are
        // gone; one of them is in `self.ticker`, which this very task keeps alive.
        while let Some(at) = ticks.recv().await {
            self.sample(at, &mut window, &mut next);
        }
    }

    async fn sample_until_done(
        self: Arc<Self>,
        mut ticks: mpsc::Receiver<Instant>,
        mut is_done: mpsc::Receiver<()>,
        mut window: Vec<Sample>,
    ) {
        let mut next = 0;
        loop {
            tokio::select! {
                Some(at) = ticks.recv() => self.sample(at, &mut window, &mut next),
                _ = is_done.recv() => return,
            }
        }
    }

    /// Puts a sample in the place of the oldest. All of them start as "nothing yet, when the client came".
    fn sample(&self, at: Instant, window: &mut [Sample], next: &mut usize) {
        let newest = Sample { at, bytes_read: self.bytes_read() };
        let oldest = std::mem::replace(&mut window[*next], newest);
        *next = (*next + 1) % window.len();
        // At least one period: right after the start a rate would be noise.
        let elapsed = at.saturating_duration_since(oldest.at).max(SAMPLE_PERIOD);
        let rate = (newest.bytes_read - oldest.bytes_read) as f64 / elapsed.as_secs_f64();
        self.recent_bytes_per_second.store(rate as u64, Relaxed);
    }
}
