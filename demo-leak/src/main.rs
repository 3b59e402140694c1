//! This TCP proxy leaks the way services really leak, and it hunts for the leak.
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
mod waits;

mod arguments;

use std::net::SocketAddr;
use std::process::ExitCode;

use arguments::{Arguments, Command, Invocation};

fn main() -> ExitCode {
    let pprof = pprof_server::install!(labels = true);
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
    match run(&arguments, pprof) {
        Ok(exit) => exit,
        Err(error) => {
            eprintln!("demo-leak: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments, pprof: Option<SocketAddr>) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    match arguments.command {
        Command::Serve => {
            runtime.block_on(serve::serve(arguments, pprof))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Hunt => runtime.block_on(hunt::hunt(arguments)),
    }
}
