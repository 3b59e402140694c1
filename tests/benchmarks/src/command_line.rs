//! All programs have this one `main`. It reads which workload is to run, and for how long.

use std::process::exit;
use std::time::Duration;

use crate::clock::Length;
use crate::request::Request;
use crate::workloads::{self, Outcome};

/// Runs the workload that the first argument names and prints its line. Without arguments it lists them all.
pub fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, options)) = arguments.split_first() else {
        workloads::ALL.iter().for_each(|(name, _)| println!("{name}"));
        return;
    };
    let Some((_, run)) = workloads::ALL.iter().find(|(known, _)| known == name) else {
        fail(&format!("there is no workload '{name}'; without arguments, they are listed"));
    };
    let request = parse(options).unwrap_or_else(|error| fail(&error));
    let Outcome { nanos, note } = below(request.depth, &|| run(&request));
    match note {
        Some(note) => println!("{name}\t{nanos:.3}\t{note}"),
        None => println!("{name}\t{nanos:.3}"),
    }
}

fn parse(options: &[String]) -> Result<Request, String> {
    let mut request = Request { length: Length::Time(Duration::from_millis(300)), threads: 1, depth: 0 };
    for option in options.chunks(2) {
        let [name, value] = option else { return Err(format!("{} needs a value", option[0])) };
        let value: u64 = value.parse().map_err(|_| format!("{name} {value}: not a number"))?;
        match name.as_str() {
            "--millis" => request.length = Length::Time(Duration::from_millis(value)),
            "--operations" => request.length = Length::Operations(value),
            "--threads" => request.threads = value as usize,
            "--depth" => request.depth = value as usize,
            _ => return Err(format!("there is no option {name}")),
        }
    }
    Ok(request)
}

/// Calls `run` with `depth` frames of this function below it on the stack.
#[inline(never)]
fn below(depth: usize, run: &dyn Fn() -> Outcome) -> Outcome {
    let outcome = if depth == 0 { run() } else { below(depth - 1, run) };
    // There must be something to do after the call, or the call would be a jump and leave no frame.
    std::hint::black_box(outcome)
}

fn fail(message: &str) -> ! {
    eprintln!("{message}");
    exit(2);
}
