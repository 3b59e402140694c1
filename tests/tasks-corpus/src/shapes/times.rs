//! Tasks that wait for a time.

use std::time::Duration;

use tokio::sync::mpsc;

use crate::planted::Planted;

const A_DAY: Duration = Duration::from_secs(86_400);

async fn sleeps() {
    tokio::time::sleep(A_DAY).await; // waits: sleep
}

async fn ticks() {
    let mut interval = tokio::time::interval(A_DAY);
    loop {
        interval.tick().await; // waits: interval
    }
}

async fn waits_for_a_while(mut ticks: mpsc::Receiver<u8>) {
    let _tick = tokio::time::timeout(A_DAY, ticks.recv()).await; // waits: timeout
}

async fn inner(mut ticks: mpsc::Receiver<u8>) -> Option<u8> {
    ticks.recv().await // waits: timeout-around
}

async fn limits_a_function(ticks: mpsc::Receiver<u8>) {
    let _tick = tokio::time::timeout(A_DAY, inner(ticks)).await; // via: timeout-around 1
}

pub(super) fn plant(planted: &mut Planted) {
    planted.spawn("sleep", sleeps());
    planted.spawn("interval", ticks());
    let (sender, ticks) = mpsc::channel(1);
    planted.spawn("timeout", waits_for_a_while(ticks));
    planted.keep(sender);
    let (sender, ticks) = mpsc::channel(1);
    planted.spawn("timeout-around", limits_a_function(ticks));
    planted.keep(sender);
}
