//! A ticker sends the time into a channel at a steady pace until it is stopped.
//!
//! Each reader makes one. It keeps the manners of the tickers known from other languages: stopping it ends the ticks
//! and nothing else.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::AbortHandle;

pub(crate) struct Ticker {
    ticks: mpsc::Sender<Instant>,
    clock: AbortHandle,
}

impl Ticker {
    /// Starts to tick at once. A receiver that is slow misses ticks rather than queue them.
    pub(crate) fn start(period: Duration) -> (Ticker, mpsc::Receiver<Instant>) {
        let (ticks, receiver) = mpsc::channel(1);
        let clock = tokio::spawn(send_ticks(ticks.clone(), period)).abort_handle();
        (Ticker { ticks, clock }, receiver)
    }

    /// Sends one tick now, out of turn.
    pub(crate) fn tick_now(&self) {
        // A full channel holds a tick that nobody has seen yet, which is as good as this one.
        let _ = self.ticks.try_send(Instant::now());
    }

    /// Stops the ticks. It does *not* close the channel: [`Ticker::tick_now`] still works, so the ticker keeps its
    /// sender, and whoever waits for the next tick goes on waiting.
    pub(crate) fn stop(&self) {
        self.clock.abort();
    }
}

async fn send_ticks(ticks: mpsc::Sender<Instant>, period: Duration) {
    let mut interval = tokio::time::interval(period);
    loop {
        interval.tick().await;
        if ticks.send(Instant::now()).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn stopping_ends_the_ticks_and_leaves_the_channel_open() {
        let (ticker, mut ticks) = Ticker::start(Duration::from_millis(1));
        assert!(ticks.recv().await.is_some());
        ticker.stop();
        let silence =
            tokio::time::timeout(Duration::from_millis(100), async { while ticks.recv().await.is_some() {} });
        assert!(silence.await.is_err(), "stop closed the channel");
        ticker.tick_now();
        assert!(ticks.recv().await.is_some());
        drop(ticker);
        assert!(ticks.recv().await.is_none());
    }
}
