//! The command line is read here: what it may say, and what is said back when it says something else.

use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use lexopt::Arg::{Long, Short, Value};

use crate::reader::Variant;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
demo-leak: a TCP proxy that leaks a task and its memory with every client

Usage: demo-leak [hunt] [OPTIONS]

  (no command)  Serve until Ctrl-C: idle, then load, then a few clients a second
                for 15 minutes, then idle again, printing memory as it goes.
                Profiles are at http://127.0.0.1:6060/debug/pprof/
                (PPROF_ADDR=IP:PORT moves them).
  hunt          Find the leak: compare a heap profile from before a load with
                one from after. Exit 0: the leak was found (with --fixed:
                nothing grew). Exit 1: it was not.

Options:
  --fixed                     Run the repaired reader, whose task is told to end
  --listen IP:PORT            Where the proxy listens
                              [default: 127.0.0.1:8080; hunt: any free port]
  --connections-per-second N  The load, 0 for none, at most 400 [default: 150]
  --idle-seconds N            Quiet time before the load
                              [default: 10; hunt: 1, also after it]
  --load-seconds N            How long the load lasts; if this is given, nobody
                              comes after it [default: 20; hunt: 8]
  -h, --help                  Print this
";

/// Each connection of the load leaves a client port in TIME_WAIT for 60 s, on each side of the proxy. Linux
/// has 28 232 such ports per destination by default: 470 connections a second would use them up.
const MAX_CONNECTIONS_PER_SECOND: u64 = 400;
/// How long a few clients go on coming after the load, so that memory goes on growing while somebody looks at it. What
/// they leave behind is about 900 MiB in the end, which does no harm to who forgets that the demo runs.
const TRICKLE: Duration = Duration::from_secs(15 * 60);
/// A day: no run of the demo is longer, so a bigger number is a slip.
const MAX_SECONDS: u64 = 86_400;

/// What the command line asks for.
#[derive(Debug, PartialEq)]
pub(crate) enum Invocation {
    Run(Arguments),
    Help,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Command {
    Serve,
    Hunt,
}

/// Everything that a run needs to know.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Arguments {
    pub(crate) command: Command,
    pub(crate) variant: Variant,
    pub(crate) listen: SocketAddr,
    pub(crate) connections_per_second: u64,
    pub(crate) idle: Duration,
    pub(crate) load: Duration,
    /// How long a few clients go on coming after the load.
    pub(crate) trickle: Duration,
}

/// What is wrong with the command line, and what would be right.
#[derive(Debug, PartialEq)]
pub(crate) enum ArgumentError {
    UnknownCommand(OsString),
    UnknownOption(String),
    NotAnAddress(String),
    NotInRange { option: &'static str, value: String, lowest: u64, highest: u64 },
    Unreadable(String),
}

/// Reads the command line; defaults depend on the command, so they are filled in at the end.
pub(crate) fn parse(mut parser: lexopt::Parser) -> Result<Invocation, ArgumentError> {
    let mut command = Command::Serve;
    let mut variant = Variant::Leaking;
    let mut listen = None;
    let mut connections_per_second = None;
    let mut idle_seconds = None;
    let mut load_seconds = None;
    while let Some(argument) = parser.next()? {
        match argument {
            Value(name) if name == "hunt" => command = Command::Hunt,
            Value(name) => return Err(ArgumentError::UnknownCommand(name)),
            Long("fixed") => variant = Variant::Fixed,
            Long("listen") => listen = Some(address(&mut parser)?),
            Long("connections-per-second") => connections_per_second = Some(text(&mut parser)?),
            Long("idle-seconds") => idle_seconds = Some(text(&mut parser)?),
            Long("load-seconds") => load_seconds = Some(text(&mut parser)?),
            Short('h') | Long("help") => return Ok(Invocation::Help),
            Short(letter) => return Err(ArgumentError::UnknownOption(format!("-{letter}"))),
            Long(name) => return Err(ArgumentError::UnknownOption(format!("--{name}"))),
        }
    }
    let is_hunt = command == Command::Hunt;
    // Who says how long the load is wants to see memory stand still after it.
    let trickle = if is_hunt || load_seconds.is_some() { Duration::ZERO } else { TRICKLE };
    // Without load there is nothing to find.
    let lowest = u64::from(is_hunt);
    let seconds = |option, value, default, lowest| number(option, value, default, lowest, MAX_SECONDS);
    Ok(Invocation::Run(Arguments {
        command,
        variant,
        listen: listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], if is_hunt { 0 } else { 8080 }))),
        connections_per_second: number(
            "--connections-per-second",
            connections_per_second,
            150,
            lowest,
            MAX_CONNECTIONS_PER_SECOND,
        )?,
        idle: Duration::from_secs(seconds("--idle-seconds", idle_seconds, if is_hunt { 1 } else { 10 }, 0)?),
        load: Duration::from_secs(seconds(
            "--load-seconds",
            load_seconds,
            if is_hunt { 8 } else { 20 },
            lowest,
        )?),
        trickle,
    }))
}

fn text(parser: &mut lexopt::Parser) -> Result<String, ArgumentError> {
    Ok(parser.value()?.to_string_lossy().into_owned())
}

fn address(parser: &mut lexopt::Parser) -> Result<SocketAddr, ArgumentError> {
    let value = text(parser)?;
    value.parse().map_err(|_| ArgumentError::NotAnAddress(value))
}

fn number(
    option: &'static str,
    value: Option<String>,
    default: u64,
    lowest: u64,
    highest: u64,
) -> Result<u64, ArgumentError> {
    let Some(value) = value else { return Ok(default) };
    match value.parse() {
        Ok(number) if (lowest..=highest).contains(&number) => Ok(number),
        _ => Err(ArgumentError::NotInRange { option, value, lowest, highest }),
    }
}

impl From<lexopt::Error> for ArgumentError {
    fn from(error: lexopt::Error) -> ArgumentError {
        ArgumentError::Unreadable(error.to_string())
    }
}

impl std::error::Error for ArgumentError {}

impl fmt::Display for ArgumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ArgumentError::UnknownCommand(name) => {
                write!(f, "there is no command {name:?}; the only one is 'hunt', or none to serve")
            }
            ArgumentError::UnknownOption(option) => write!(f, "there is no option {option}"),
            ArgumentError::NotAnAddress(value) => {
                write!(f, "--listen {value:?} is not IP:PORT; write for example --listen 127.0.0.1:8080")
            }
            ArgumentError::NotInRange { option, value, lowest, highest } => {
                write!(f, "{option} {value:?} will not do; give a whole number from {lowest} to {highest}")
            }
            ArgumentError::Unreadable(message) => f.write_str(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Arguments, ArgumentError> {
        match parse(lexopt::Parser::from_args(line.split_whitespace()))? {
            Invocation::Run(arguments) => Ok(arguments),
            Invocation::Help => panic!("asked for help by {line:?}"),
        }
    }

    #[test]
    fn defaults_depend_on_the_command() {
        let serve = parsed("").unwrap();
        assert_eq!((serve.command, serve.listen.port(), serve.idle.as_secs()), (Command::Serve, 8080, 10));
        let hunt = parsed("hunt --fixed").unwrap();
        assert_eq!((hunt.command, hunt.listen.port(), hunt.load.as_secs()), (Command::Hunt, 0, 8));
        let shorter = parsed("--load-seconds 20").unwrap();
        let trickle = [&serve, &hunt, &shorter].map(|arguments| arguments.trickle.as_secs());
        assert_eq!((shorter.load, trickle), (serve.load, [900, 0, 0]));
        assert_eq!((serve.variant, hunt.variant), (Variant::Leaking, Variant::Fixed));
    }

    #[test]
    fn a_hunt_needs_load_and_a_server_does_not() {
        assert_eq!(parsed("--connections-per-second 0").unwrap().connections_per_second, 0);
        assert!(parsed("hunt --connections-per-second 0").is_err());
        assert!(parsed("hunt --load-seconds=0").is_err());
    }

    #[test]
    fn messages_name_the_value_and_the_remedy() {
        let message = |line| parsed(line).unwrap_err().to_string();
        assert_eq!(
            message("--connections-per-second 401"),
            "--connections-per-second \"401\" will not do; give a whole number from 0 to 400"
        );
        assert!(message("--listen 8080").contains("\"8080\" is not IP:PORT; write for example"));
        assert!(message("hutn").contains("\"hutn\"; the only one is 'hunt'"));
        assert!(message("--fix").contains("--fix"));
        assert!(message("--listen").contains("--listen"));
    }
}
