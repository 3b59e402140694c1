//! The index of types, kept from one request to the next.
//!
//! To look through the debug information takes up to seconds of processor time. So what was found is kept, without the files, for
//! as long as a server watches over it: until nobody has asked for a minute.
//!
//! Path: *read path*.

use super::debug_files::{self, Known};
use crate::mappings::Mappings;
use crate::per_process::PerProcess;
use alloc_profiler::internal::cpu_time;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tasks::{Image, IndexError, RestingIndex, TypeIndex};

/// So much processor time one request may take to look through debug information.
const TIME_BUDGET: Duration = Duration::from_secs(2);
/// So long that may take on a machine that has much else to do.
const LONGEST: Duration = Duration::from_secs(15);
/// An index that takes more memory than this is not kept, in bytes.
const MAX_BYTES: usize = 16 << 20;
/// An index is let go when nobody has asked for it for so long.
const UNUSED: Duration = Duration::from_secs(60);
/// So often a server looks.
const LOOKS_EVERY: Duration = Duration::from_secs(30);

static KEEPER: PerProcess<Keeper> = PerProcess::new();

fn keeper() -> &'static Keeper {
    KEEPER.get(Keeper::default)
}

/// Keeps an index while somebody watches over it.
#[derive(Default)]
struct Keeper(Mutex<State>);

#[derive(Default)]
struct State {
    kept: Option<Kept>,
    is_watched: bool,
}

struct Kept {
    index: RestingIndex,
    files: Vec<Known>,
    used: Instant,
}

impl Kept {
    fn copy(&self) -> Kept {
        Kept { index: self.index.copy(), files: self.files.clone(), used: self.used }
    }
}

/// An index that one request uses. Another request meanwhile uses a copy, since a search may take long.
pub(in crate::sources) struct IndexInUse {
    pub(in crate::sources) index: TypeIndex,
    files: Vec<Known>,
}

impl IndexInUse {
    /// Takes the index that was kept, if all files are the same as then, or makes one: of the program, and of the libraries that have
    /// these addresses.
    pub(in crate::sources) fn take(addresses: &[u64], mappings: &Mappings) -> Result<IndexInUse, IndexError> {
        let kept = {
            let mut state = keeper().state();
            let kept = state.kept.take();
            state.kept = kept.as_ref().map(Kept::copy);
            kept
        };
        let before = kept.as_ref().map_or(&[][..], |kept| &kept.files);
        let (images, files) = debug_files::images(addresses, mappings, before);
        IndexInUse::of(kept, images, files)
    }

    fn of(kept: Option<Kept>, images: Vec<Image>, files: Vec<Known>) -> Result<IndexInUse, IndexError> {
        let (start, started) = (Instant::now(), cpu_time());
        let may_go_on = || start.elapsed() < LONGEST && cpu_time().saturating_sub(started) < TIME_BUDGET;
        // mutant: E18 an index is used for files that have changed
        let index = match kept.filter(|kept| kept.files == files) {
            Some(kept) => kept.index.wake(images, &may_go_on)?,
            None => TypeIndex::of_images_while(images, &may_go_on)?,
        };
        Ok(IndexInUse { index, files })
    }

    /// Keeps the index for the next request, if a server watches over it.
    pub(in crate::sources) fn put_back(self) {
        keeper().put_back(self);
    }
}

impl Keeper {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put_back(&self, used: IndexInUse) {
        if !self.state().is_watched {
            return;
        }
        let index = used.index.rest();
        if index.memory_bytes() > MAX_BYTES {
            return;
        }
        let kept = Kept { index, files: used.files, used: Instant::now() };
        let mut state = self.state();
        // Whoever watched may have gone meanwhile.
        let before = if state.is_watched { state.kept.replace(kept) } else { Some(kept) };
        // Memory is given back when nobody waits for the lock any more.
        drop(state);
        drop(before);
    }

    /// Begins to watch; false if somebody does so already.
    fn watch(&self) -> bool {
        !std::mem::replace(&mut self.state().is_watched, true)
    }

    fn end_watch(&self) {
        let mut state = self.state();
        state.is_watched = false;
        // mutant: E19 an index outlives the server
        let kept = state.kept.take();
        drop(state);
        drop(kept);
    }

    fn is_unused(&self, now: Instant) -> bool {
        let state = self.state();
        state.kept.as_ref().is_none_or(|kept| now.saturating_duration_since(kept.used) >= UNUSED)
    }
}

/// Has an index kept for as long as this lives.
#[derive(Debug)]
pub(crate) struct IndexWatch(());

impl IndexWatch {
    /// So long after one look the next is due.
    pub(crate) const LOOKS_EVERY: Duration = LOOKS_EVERY;

    /// Begins to watch. It is `None` if somebody does so already.
    pub(crate) fn begin() -> Option<IndexWatch> {
        keeper().watch().then_some(IndexWatch(()))
    }

    /// Whether nobody has used an index for a while.
    pub(crate) fn is_unused(&self) -> bool {
        keeper().is_unused(Instant::now())
    }
}

impl Drop for IndexWatch {
    fn drop(&mut self) {
        keeper().end_watch();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use tasks::ReadAt;

    /// It reads this program's file, and counts how many bytes are read.
    struct Counted {
        file: std::fs::File,
        bytes: Arc<AtomicU64>,
    }

    impl ReadAt for Counted {
        fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
            let read = self.file.read_at(bytes, offset)?;
            self.bytes.fetch_add(read as u64, Ordering::Relaxed);
            Ok(read)
        }

        fn size_bytes(&self) -> io::Result<u64> {
            self.file.size_bytes()
        }
    }

    /// Makes the index as for a request, and returns how many bytes were read.
    fn used(kept: Option<Kept>, name: &str) -> (IndexInUse, u64) {
        let bytes = Arc::new(AtomicU64::new(0));
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        let image = Image { debug: Box::new(Counted { file, bytes: bytes.clone() }), bias: 0, package: None };
        let used = IndexInUse::of(kept, vec![image], vec![Known::made_up(name)]).unwrap();
        (used, bytes.load(Ordering::Relaxed))
    }

    fn kept(used: IndexInUse) -> Option<Kept> {
        let keeper = Keeper::default();
        keeper.watch();
        keeper.put_back(used);
        keeper.state().kept.take()
    }

    #[test]
    fn what_was_found_is_used_again_for_the_same_files_alone() {
        let (first, all) = used(None, "a");
        let (second, again) = used(kept(first), "a");
        // Whether the first request came to the end depends on how fast this build is. What it did is not done again.
        assert!(again < all / 2 || second.index.is_unfinished(), "{again} bytes of {all} were read again");
        let (_, anew) = used(kept(second), "b");
        assert!(anew >= all / 2, "{anew} bytes of {all} were read of another file");
    }

    #[test]
    fn nothing_is_kept_unless_somebody_watches() {
        let keeper = Keeper::default();
        let index = || IndexInUse { index: TypeIndex::of_images(Vec::new()).unwrap(), files: Vec::new() };
        keeper.put_back(index());
        assert!(keeper.state().kept.is_none());
        assert!(keeper.watch() && !keeper.watch());
        keeper.put_back(index());
        let now = Instant::now();
        assert!(!keeper.is_unused(now) && keeper.is_unused(now + 2 * UNUSED));
        keeper.end_watch();
        assert!(keeper.state().kept.is_none() && keeper.is_unused(now));
    }
}
