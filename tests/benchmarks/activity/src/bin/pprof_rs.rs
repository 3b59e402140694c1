//! `pprof-rs` samples the CPU time, by `setitimer`.

use std::time::Duration;

use activity::cpu::{Sampler, Told};
use pprof::{ProfilerGuard, ProfilerGuardBuilder};

#[derive(Default)]
struct PprofRs {
    guard: Option<ProfilerGuard<'static>>,
    hz: u32,
}

impl Sampler for PprofRs {
    fn begin(&mut self, hz: u32, _time: Duration) {
        self.hz = hz;
        self.guard = Some(ProfilerGuardBuilder::default().frequency(hz as i32).build().expect("it samples"));
    }

    fn end(&mut self) -> Told {
        let report = self.guard.take().expect("it has begun").report().build().expect("a report");
        let stacks = report.data.iter().map(|(frames, &count)| {
            let names: Vec<_> = frames.frames.iter().flatten().map(|symbol| symbol.name()).collect();
            (names.join(";"), Duration::from_secs(count.unsigned_abs() as u64) / self.hz)
        });
        stacks.collect()
    }
}

fn main() {
    activity::cpu::main(PprofRs::default());
}
