//! What signals of ours are for.

/// What a signal of ours is for. A capture and a dump may go on at the same time: each has a machine, a turn and a signal of its
/// own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A timer says that a thread has used up a period of CPU time.
    Cpu,
    /// A dump asks a thread where it is.
    Dump,
}

impl Purpose {
    pub(super) const ALL: [Purpose; 2] = [Purpose::Cpu, Purpose::Dump];
}
