//! `pprof-server` is asked over HTTP, as anybody asks it.

#[path = "../../../http.rs"]
mod http;

use std::net::SocketAddr;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use activity::cpu::{Sampler, Told};
use activity::tasks::{Finder, Frame, Seen};
use http::get;
use serde_json::Value;

struct Ours {
    address: SocketAddr,
    asking: Option<JoinHandle<String>>,
}

/// Returns the rows of a page that is JSON: this value of each, and the frames.
fn rows(page: &str, value: &str) -> Vec<(f64, Vec<Frame>)> {
    let profile: Value = serde_json::from_str(page).expect("JSON");
    let frame = |frame: &Value| {
        (
            frame["function"].as_str().unwrap_or_default().to_owned(),
            frame["line"].as_u64().unwrap_or(0) as u32,
        )
    };
    let row = |row: &Value| {
        let frames = row["stack"].as_array().into_iter().flatten().map(frame).collect();
        (row["values"][value].as_f64().unwrap_or(0.0), frames)
    };
    profile["rows"].as_array().into_iter().flatten().map(row).collect()
}

impl Sampler for Ours {
    fn begin(&mut self, hz: u32, time: Duration) {
        let (address, seconds) = (self.address, time.as_secs());
        self.asking = Some(thread::spawn(move || {
            get(address, &format!("profile?seconds={seconds}&hz={hz}&format=json&top=1000"))
        }));
        thread::sleep(Duration::from_millis(500));
    }

    fn end(&mut self) -> Told {
        let profile = self.asking.take().expect("it has begun").join().expect("no panic");
        let told = rows(&profile, "cpu").into_iter().map(|(nanoseconds, frames)| {
            let names: Vec<_> = frames.into_iter().map(|(name, _)| name).collect();
            (names.join(";"), Duration::from_nanos(nanoseconds as u64))
        });
        told.collect()
    }
}

impl Finder for Ours {
    async fn find(&mut self) -> Vec<Seen> {
        let address = self.address;
        let asked = tokio::task::spawn_blocking(move || get(address, "goroutine?format=json&top=1000"));
        let profile = asked.await.expect("no panic");
        rows(&profile, "goroutine").into_iter().map(|(count, frames)| Seen { count, frames }).collect()
    }
}

fn main() {
    let address = pprof_server::install!("127.0.0.1:0").expect("a server");
    let ours = Ours { address, asking: None };
    if activity::argument(1).as_deref() == Some("tasks") {
        activity::tasks::main(ours);
    } else {
        activity::cpu::main(ours);
    }
}
