//! `console-subscriber` watches the tasks here. What it says is read as `tokio-console` reads it.

use std::collections::HashMap;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use console_api::async_ops::AsyncOpUpdate;
use console_api::instrument::instrument_client::InstrumentClient;
use console_api::instrument::{InstrumentRequest, Update};
use console_api::resources::ResourceUpdate;
use locks::parts::Part;
use locks::{Told, Tool};

/// This collects what tokio-console was told so far.
#[derive(Default)]
struct Said {
    /// The lines where locks were made, by the numbers of the locks.
    locks: HashMap<u64, String>,
    /// Each wait is known by a number, which leads to the number of the lock.
    lock_of: HashMap<u64, u64>,
    /// How long a task has waited for a lock, by the number of the wait.
    waits: HashMap<u64, Duration>,
}

struct Console {
    said: Arc<Mutex<Said>>,
    port: u16,
    is_listening: bool,
}

impl Said {
    fn add(&mut self, update: Update) {
        if let Some(ResourceUpdate { new_resources, .. }) = update.resource_update {
            for lock in new_resources.into_iter().filter(|made| made.concrete_type.ends_with("Mutex")) {
                let (Some(id), Some(place)) = (lock.id, lock.location) else { continue };
                let file = place.file.unwrap_or_default();
                let file = file.rsplit('/').next().unwrap_or_default();
                self.locks.insert(id.id, format!("{file}:{}", place.line.unwrap_or_default()));
            }
        }
        let Some(AsyncOpUpdate { new_async_ops, stats_update, .. }) = update.async_op_update else { return };
        for wait in new_async_ops {
            let (Some(id), Some(lock)) = (wait.id, wait.resource_id) else { continue };
            self.lock_of.insert(id.id, lock.id);
        }
        for (number, wait) in stats_update {
            let time = |time: Option<_>| time.and_then(|time: _| SystemTime::try_from(time).ok());
            let (Some(begun), Some(ended)) = (time(wait.created_at), time(wait.dropped_at)) else { continue };
            self.waits.insert(number, ended.duration_since(begun).unwrap_or_default());
        }
    }
}

async fn listen(port: u16, said: Arc<Mutex<Said>>) -> Result<(), Box<dyn std::error::Error>> {
    // Its server is another thread's, which may not have begun.
    let mut tries = 0;
    let mut client = loop {
        match InstrumentClient::connect(format!("http://127.0.0.1:{port}")).await {
            Err(_) if tries < 50 => tries += 1,
            connected => break connected?,
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let mut updates = client.watch_updates(InstrumentRequest {}).await?.into_inner();
    while let Some(update) = updates.message().await? {
        said.lock().unwrap_or_else(PoisonError::into_inner).add(update);
    }
    Ok(())
}

impl Console {
    /// Returns once it has said nothing new for a while: it publishes once a second, and not all that has happened by then.
    fn await_all(&self) {
        let said = || self.said.lock().unwrap_or_else(PoisonError::into_inner).waits.len();
        let (mut before, mut quiet) = (said(), 0);
        while quiet < 3 {
            thread::sleep(Duration::from_millis(1100));
            let now = said();
            quiet = if now == before { quiet + 1 } else { 0 };
            before = now;
        }
    }
}

impl Tool for Console {
    fn watch(&mut self, _seconds: u64) {
        if std::mem::replace(&mut self.is_listening, true) {
            return;
        }
        let (port, said) = (self.port, self.said.clone());
        thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(listen(port, said)).expect("it answers");
        });
        thread::sleep(Duration::from_secs(1));
    }

    fn told(&mut self, part: &Part) -> Told {
        self.await_all();
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let file = format!("{}.rs:", part.module);
        let of_part = said.waits.iter().filter_map(|(number, waited)| {
            let made = said.locks.get(said.lock_of.get(number)?)?;
            made.starts_with(&file).then_some((made.clone(), *waited))
        });
        let of_part: Vec<_> = of_part.collect();
        Told {
            waited: (!of_part.is_empty()).then(|| of_part.iter().map(|(_, waited)| *waited).sum()),
            // It tells where the lock was made.
            waiters: of_part.into_iter().map(|(made, _)| made).collect(),
            holders: Vec::new(),
        }
    }
}

fn main() {
    locks::main(|is_on| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        if is_on {
            console_subscriber::ConsoleLayer::builder().server_addr((Ipv4Addr::LOCALHOST, port)).init();
        }
        Console { said: Arc::default(), port, is_listening: false }
    });
}
