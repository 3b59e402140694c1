//! A TCP proxy that leaks the way services really leak, and the hunt for the leak.
//!
//! Customers reach an upstream through the proxy. Memory is low after a start, climbs under load, and does
//! not come back when the load is gone. `demo-leak` serves that, driving its own load, so that the leak can be
//! found with `curl` and `go tool pprof`; `demo-leak hunt` finds it by itself, by the same comparison of a
//! profile from before the load with one from after. `--fixed` runs both without the leak.
//!
//! To read in order: `proxy` (one task per customer) starts a `reader` (the leak and its fix, side by side),
//! which waits on a `ticker`; `load` plays the customers; `serve` and `hunt` are the two programs.
#![forbid(unsafe_code)]

mod proxy;
mod reader;
mod ticker;

mod load;
mod status;

mod growth;
mod hunt;
mod serve;

mod arguments;

use std::process::ExitCode;

use alloc_profiler::SamplingAllocator;
use arguments::{Arguments, Command, Invocation};

#[global_allocator]
static ALLOCATOR: SamplingAllocator = SamplingAllocator::new();

fn main() -> ExitCode {
    alloc_profiler::init_from_env();
    let arguments = match arguments::parse(lexopt::Parser::from_env()) {
        Ok(Invocation::Run(arguments)) => arguments,
        Ok(Invocation::Help) => {
            print!("{}", arguments::HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("demo-leak: {error}\nTry 'demo-leak --help'.");
            return ExitCode::from(2);
        }
    };
    match run(&arguments) {
        Ok(exit) => exit,
        Err(error) => {
            eprintln!("demo-leak: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    match arguments.command {
        Command::Serve => {
            let address = std::env::var("PPROF_ADDR").unwrap_or_else(|_| "127.0.0.1:6060".to_owned());
            let _server = pprof_server::serve(&address).map_err(|error| {
                format!("cannot serve profiles on {address}: {error}; choose another with PPROF_ADDR=IP:PORT")
            })?;
            runtime.block_on(serve::serve(arguments, address.parse().ok()))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Hunt => runtime.block_on(hunt::hunt(arguments)),
    }
}
