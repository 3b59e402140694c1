//! The mappings of this process that are stacks of threads, by `/proc/self/maps`.

use std::io;

/// A mapping that may be a stack: its first address, and the one after its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StackRange {
    pub(super) start: usize,
    pub(super) end: usize,
}

/// The main thread's stack, and what may be a stack of another thread, ascending.
///
/// Cost: it takes some microseconds for each hundred mappings.
pub(super) fn stacks() -> io::Result<(Option<StackRange>, Vec<StackRange>)> {
    Ok(stacks_in(&std::fs::read("/proc/self/maps")?))
}

fn stacks_in(maps: &[u8]) -> (Option<StackRange>, Vec<StackRange>) {
    let (mut main, mut others) = (None, Vec::new());
    // Where the last mapping ended, if nobody may touch that.
    let mut guard_end = None;
    for line in maps.split(|&byte| byte == b'\n') {
        let Some((range, permissions)) = head(line) else { continue };
        if line.ends_with(b"[stack]") {
            main = Some(range);
        } else if guard_end == Some(range.start) && permissions.starts_with(b"rw") {
            others.push(range);
        }
        guard_end = permissions.starts_with(b"---").then_some(range.end);
    }
    (main, others)
}

/// The range and the permissions that a line begins with.
fn head(line: &[u8]) -> Option<(StackRange, &[u8])> {
    let mut words = line.split(|&byte| byte == b' ');
    let (range, permissions) = (std::str::from_utf8(words.next()?).ok()?, words.next()?);
    let (start, end) = range.split_once('-')?;
    let address = |digits| usize::from_str_radix(digits, 16).ok();
    Some((StackRange { start: address(start)?, end: address(end)? }, permissions))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_lies_right_above_a_page_that_nobody_may_touch() {
        let maps = b"\
            00400000-00500000 r-xp 00000000 08:01 12   /bin/program\n\
            00600000-00700000 rw-p 00000000 00:00 0    [heap]\n\
            7f0000000000-7f0000001000 ---p 00000000 00:00 0 \n\
            7f0000001000-7f0000201000 rw-p 00000000 00:00 0 \n\
            7f0000201000-7f0000301000 rw-p 00000000 00:00 0 \n\
            7f0000400000-7f0000401000 ---p 00000000 00:00 0 \n\
            7f0000401000-7f0000402000 r--p 00000000 00:00 0 \n\
            7f0000402000-7f0000403000 ---p 00000000 00:00 0 \n\
            7f0000500000-7f0000501000 rw-p 00000000 00:00 0 \n\
            nonsense\n\
            7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0    [stack]\n\
            ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]\n";
        let range = |start, end| StackRange { start, end };
        let main = Some(range(0x7ffc_0000_0000, 0x7ffc_0002_1000));
        assert_eq!(stacks_in(maps), (main, vec![range(0x7f00_0000_1000, 0x7f00_0020_1000)]));
        assert_eq!(stacks_in(b""), (None, Vec::new()));
    }
}
