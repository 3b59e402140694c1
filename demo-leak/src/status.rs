//! One line tells what the service's graphs would show: connections, tasks, heap in use, and resident memory.

use std::fmt;
use std::time::Duration;

use tokio::runtime::Handle;

use crate::proxy::Connections;

pub(crate) const BYTES_PER_MIB: f64 = 1048576.0;

/// The figures of one moment, as a status line shows them.
pub(crate) struct Status {
    pub(crate) connections_open: u64,
    pub(crate) connections_total: u64,
    /// How many tasks of the runtime have not ended. The runtime counts them itself, so this is exact.
    pub(crate) live_tasks: usize,
    /// How many bytes are allocated and not freed, as the profiler estimates.
    pub(crate) heap_bytes: f64,
    /// How many bytes are in memory, or `None` where the system has no `/proc`.
    pub(crate) resident_bytes: Option<u64>,
}

impl Status {
    /// Reads all figures. It must be called on the runtime.
    pub(crate) fn read(connections: &Connections) -> Status {
        Status {
            connections_open: connections.open(),
            connections_total: connections.total(),
            live_tasks: live_tasks(),
            heap_bytes: alloc_profiler::snapshot().totals().inuse_bytes,
            resident_bytes: resident_bytes(),
        }
    }
}

/// How many tasks of this runtime have not ended.
pub(crate) fn live_tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

/// Waits until all clients have left and the tasks that end have ended: until both counts have stood still
/// for a while, or for ten seconds at most.
pub(crate) async fn wait_until_drained(connections: &Connections) {
    const LOOK_EVERY: Duration = Duration::from_millis(50);
    const STILL_LOOKS: u32 = 10;
    let mut still = 0;
    let mut tasks = live_tasks();
    for _ in 0..200 {
        tokio::time::sleep(LOOK_EVERY).await;
        let tasks_now = live_tasks();
        still = if connections.open() == 0 && tasks_now == tasks { still + 1 } else { 0 };
        tasks = tasks_now;
        if still == STILL_LOOKS {
            return;
        }
    }
}

fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kibibytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.split_whitespace().next()?;
    Some(kibibytes.parse::<u64>().ok()? * 1024)
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "connections {:3} open, {:5} total | tasks {:5} | heap ~{:.1} MiB | RSS ",
            self.connections_open,
            self.connections_total,
            self.live_tasks,
            self.heap_bytes / BYTES_PER_MIB
        )?;
        match self.resident_bytes {
            Some(bytes) => write!(f, "{:.1} MiB", bytes as f64 / BYTES_PER_MIB),
            None => f.write_str("n/a"),
        }
    }
}
