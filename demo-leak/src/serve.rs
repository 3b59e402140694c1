//! This runs the service with its own customers. It is idle, has load, has a few customers, is idle again, and then goes on
//! until Ctrl-C.
//!
//! The leak shows in these states: memory is low after a start, climbs under load, goes on climbing as long as anybody
//! comes, and does not come back when nobody does.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::arguments::Arguments;
use crate::load;
use crate::proxy::Proxy;
use crate::status::Status;

/// Time between two lines of figures.
const STATUS_PERIOD: Duration = Duration::from_secs(2);

/// How many customers come in a second, at most, when the load is over: memory grows by a MiB a second.
const TRICKLE_PER_SECOND: u64 = 20;

/// Serves until Ctrl-C, with the profiles at `pprof`, if anywhere.
pub(crate) async fn serve(arguments: &Arguments, pprof: Option<SocketAddr>) -> io::Result<()> {
    let proxy = Proxy::start(arguments.listen, arguments.variant).await?;
    let mut phases = Phases { proxy: &proxy, arguments, started: Instant::now(), name: "idle" };
    tokio::select! {
        // First, because the handler is set when this is polled: whoever has read a line may interrupt us.
        biased;
        outcome = tokio::signal::ctrl_c() => outcome?,
        () = phases.run(pprof) => {}
    }
    println!("Ctrl-C: goodbye");
    Ok(())
}

fn introduce(proxy: &Proxy, pprof: Option<SocketAddr>) {
    println!("proxy:   {}", proxy.address());
    if let Some(address) = pprof {
        println!("pprof:   http://{address}/debug/pprof/");
        println!("Open it in a browser: the page names the line that leaks.");
        println!("Or try this, once before the load and once after, and compare:");
        println!("  curl -s http://{address}/debug/pprof/heap > before.out");
        println!("  curl -s http://{address}/debug/pprof/heap > after.out");
        println!("  go tool pprof -top -diff_base before.out after.out");
    } else {
        println!("pprof:   not served");
    }
    println!("Ctrl-C ends it.");
}

struct Phases<'a> {
    proxy: &'a Proxy,
    arguments: &'a Arguments,
    started: Instant,
    name: &'static str,
}

impl Phases<'_> {
    /// Never returns.
    async fn run(&mut self, pprof: Option<SocketAddr>) {
        introduce(self.proxy, pprof);
        let (address, rate) = (self.proxy.address(), self.arguments.connections_per_second);
        self.name = "idle";
        self.watch(tokio::time::sleep(self.arguments.idle)).await;
        self.name = "load";
        self.watch(load::drive(address, rate, self.arguments.load)).await;
        if !self.arguments.trickle.is_zero() {
            self.name = "trickle";
            let rate = rate.min(TRICKLE_PER_SECOND);
            self.watch(load::drive(address, rate, self.arguments.trickle)).await;
        }
        self.name = "idle again";
        self.watch(std::future::pending()).await
    }

    /// Prints a line at once and then every few seconds until `phase` is over.
    async fn watch(&self, phase: impl Future<Output = ()>) {
        let mut lines = tokio::time::interval(STATUS_PERIOD);
        tokio::pin!(phase);
        loop {
            tokio::select! {
                () = &mut phase => return,
                _ = lines.tick() => println!(
                    "{:4} s | {:10} | {}",
                    self.started.elapsed().as_secs(),
                    self.name,
                    Status::read(self.proxy.connections())
                ),
            }
        }
    }
}
