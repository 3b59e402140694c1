//! What there is to say of a trace: what is in it, and what is not.
//!
//! Path: *read path*.

use std::time::Duration;

use alloc_profiler::StackTrace;

use super::Recorded;
use crate::profile::{Amount, Stacks, Unit};
use crate::sources::cpu;

fn time(time: Duration) -> String {
    Amount(time.as_nanos() as f64, Unit::Nanoseconds).to_string()
}

/// Returns a line for each thing that there is to say.
pub(super) fn notes(
    recorded: &Recorded,
    lost_waits: u64,
    traces: &[StackTrace],
    stacks: &Stacks,
) -> Vec<String> {
    let cpu = &recorded.cpu;
    let mut notes = vec![format!(
        "trace: {} of the program, with a sample for each {} of a thread's CPU time",
        time(recorded.duration),
        time(cpu.period)
    )];
    notes.extend(cpu::losses_of_capture(cpu));
    if cpu.untold_periods > 0 {
        let untold = cpu.period.saturating_mul(u32::try_from(cpu.untold_periods).unwrap_or(u32::MAX));
        notes.push(format!(
            "samples of {} of CPU time are left out, because there were more than 262144: ask for fewer (hz=10), or for a shorter time",
            time(untold)
        ));
    }
    notes.push(match (&recorded.locks, lost_waits) {
        (None, _) => "waits for locks are not there: write install!(locks = true), or pprof_server::define_syscall!(); in the \
                      program's own crate"
            .to_owned(),
        (Some(_), 0) => format!(
            "waits for locks of more than {} are all there; of shorter ones, some",
            time(capture::block_rate().unwrap_or(capture::USUAL_BLOCK_RATE))
        ),
        (Some(_), lost) => format!(
            "{lost} waits and wakes are left out, because there were more than 65536: ask for a shorter time"
        ),
    });
    notes.extend(of_blocks(recorded));
    let threads = &recorded.threads;
    if threads.are_too_many {
        notes.push("threads are left out, because there were more than 4096".to_owned());
    }
    if threads.are_states_cut {
        notes.push(
            "what threads did is not told up to the end, because they changed their states more than 100000 times: ask for a \
             shorter time"
                .to_owned(),
        );
    }
    if threads.are_hidden {
        notes.push("what threads did is not known, because /proc/self/task cannot be read".to_owned());
    }
    notes.push(format!("threads of the profiler's own used {}, and are left out", time(cpu.own_time)));
    notes.extend(cpu::losses_of_names(traces, &cpu::with_indices(&cpu.stacks), stacks));
    notes
}

fn of_blocks(recorded: &Recorded) -> Vec<String> {
    let blocks = &recorded.blocks;
    let mut notes = Vec::new();
    if !alloc_profiler::is_installed() {
        notes.push("allocations are not there: write pprof_server::install!() in main".to_owned());
    } else if blocks.are_too_many {
        notes.push(
            "allocations are not there, because there are more than 200000 live samples: raise the sampling interval".to_owned(),
        );
    } else {
        notes.push(format!(
            "allocations are samples, each with the bytes that it stands for. Blocks that came and went within {} are not there, and \
             allocs?seconds=10 counts them; a free has the stack of its allocation",
            time(blocks.longest_gap)
        ));
    }
    if blocks.lost > 0 {
        notes.push(format!(
            "{} allocations and frees are left out, because there were more than 200000: ask for a shorter time",
            blocks.lost
        ));
    }
    notes
}
