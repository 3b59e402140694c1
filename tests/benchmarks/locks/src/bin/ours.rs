//! `pprof-server` watches the locks here, and is asked over HTTP, as anybody asks it.

#[path = "../../../http.rs"]
mod http;

use std::net::SocketAddr;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use http::get;
use locks::parts::Part;
use locks::{Told, Tool};
use serde_json::Value;

struct Ours {
    address: Option<SocketAddr>,
    /// Who asks for `block` and for `mutex`.
    asking: Option<[JoinHandle<Value>; 2]>,
    /// The server's answer is kept here.
    block: Value,
    mutex: Value,
}

/// Returns the rows of a profile that are of this part, as waited nanoseconds with the function's name and line.
fn rows_of(profile: &Value, part: &Part) -> Vec<(u64, String, String)> {
    let rows = profile["rows"].as_array().into_iter().flatten();
    let frame_of = |row: &Value| {
        let module = format!("::{}::", part.module);
        let frames = row["stack"].as_array()?.iter();
        let mut frames =
            frames.filter_map(|frame| Some((frame["function"].as_str()?, frame["line"].as_u64()?)));
        let (name, line) = frames.find(|(name, _)| name.contains(&module))?;
        Some((row["values"]["delay"].as_u64()?, name.to_owned(), format!("{}.rs:{line}", part.module)))
    };
    rows.filter_map(frame_of).collect()
}

impl Tool for Ours {
    fn watch(&mut self, seconds: u64) {
        let address = self.address.expect("a server");
        // The first request reads the program's debug information, which takes its time.
        get(address, "block?seconds=1&format=json");
        self.asking = Some(["block", "mutex"].map(|page| {
            let page = format!("{page}?seconds={seconds}&format=json&top=1000");
            thread::spawn(move || serde_json::from_str(&get(address, &page)).expect("JSON"))
        }));
        // What is waited before it begins is not in it, and on a busy machine it begins late.
        thread::sleep(Duration::from_secs(1));
    }

    fn told(&mut self, part: &Part) -> Told {
        if let Some(asking) = self.asking.take() {
            [self.block, self.mutex] = asking.map(|asking| asking.join().expect("no panic"));
        }
        // The thread that has begun the others waits for their end, which is no wait for the lock.
        let mut waits = rows_of(&self.block, part);
        waits.retain(|(_, name, _)| name.contains("::waits"));
        let holders = rows_of(&self.mutex, part);
        Told {
            waited: Some(Duration::from_nanos(waits.iter().map(|(delay, ..)| delay).sum())),
            waiters: waits.into_iter().map(|(_, _, line)| line).collect(),
            holders: holders.into_iter().map(|(_, _, line)| line).collect(),
        }
    }

    fn deadlocks(&mut self) -> String {
        get(self.address.expect("a server"), "block?current=1&format=text")
    }
}

fn main() {
    let address = pprof_server::install!("127.0.0.1:0", locks = true);
    locks::main(|_| Ours { address, asking: None, block: Value::Null, mutex: Value::Null });
}
