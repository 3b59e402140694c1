//! What the last futures of a task wait for, by their types.
//!
//! Only types that are known to wait for nothing else are understood. All others are [`Wait::Unknown`], so that nobody concludes from
//! what was not seen.

use super::chain::{Follower, MAX_DEPTH};
use super::trail::Trail;
use crate::memory::Masked;
use crate::task::{AwaitFrame, Kind, Value};
use crate::types::{Shape, Type, TypeId, Types};
use crate::wait::{Part, Wait};

/// Futures that poll one other future and wait for nothing else, each with the name of the member that is the other.
const WRAPPERS: [(&str, &str); 6] = [
    ("tokio::task::coop::Coop<", "fut"),
    ("tokio::task::coop::unconstrained::Unconstrained<", "inner"),
    ("tracing::instrument::Instrumented<", "inner"),
    ("pprof_server::labels::future::Labelled<", "future"),
    ("core::mem::manually_drop::ManuallyDrop<", "value"),
    ("core::mem::maybe_dangling::MaybeDangling<", "__0"),
];
/// A function that is polled as a future. It is told by its closure.
const BY_FUNCTION: &str = "core::future::poll_fn::PollFn<";
const PENDING: &str = "core::future::pending::Pending<";
const HANDLE: &str = "tokio::runtime::task::join::JoinHandle<";
/// What is in these waits for something in memory that others share.
const SHARED: [&str; 3] = ["tokio::sync::", "futures_channel::", "tokio_util::sync::cancellation_token::"];
/// What is in these waits for something from outside.
const EVENTS: [&str; 9] = [
    "tokio::time::",
    "tokio::io::",
    "tokio::net::",
    "tokio::process::",
    "tokio::signal::",
    "tokio::fs::",
    "tokio::runtime::io::",
    "tokio::runtime::time::",
    "tokio::task::yield_now::",
];
/// What an `Arc` points to.
const COUNTED: &str = "alloc::sync::ArcInner<";
/// These are within what is shared, and borrowed.
const BORROWED: [&str; 2] = ["tokio::sync::batch_semaphore::Semaphore", "tokio::sync::notify::Notify"];
/// What waits is in a list of those who wait. That list leads to other tasks.
const IN_LIST: &str = "Waiter";
/// What tokio's modules are called, and what `Wait::Shared` calls them.
const NAMES: [(&str, &str); 13] = [
    ("mpsc", "mpsc"),
    ("oneshot", "oneshot"),
    ("broadcast", "broadcast"),
    ("watch", "watch"),
    ("mutex", "mutex"),
    ("rwlock", "rwlock"),
    ("semaphore", "semaphore"),
    ("batch_semaphore", "semaphore"),
    ("notify", "notify"),
    ("barrier", "barrier"),
    ("once_cell", "once_cell"),
    ("set_once", "set_once"),
    ("cancellation_token", "cancellation_token"),
];

/// Returns what each of the last futures below `root` waits for.
pub(super) fn waits(types: &mut Types, trail: &mut Trail<'_>, root: &AwaitFrame) -> Vec<Wait> {
    let mut reader = Reader { follower: Follower::new(types, trail), found: Vec::new() };
    reader.below(root, None, 0);
    reader.found
}

struct Reader<'a, 'm> {
    follower: Follower<'a, 'm>,
    found: Vec<Wait>,
}

impl Reader<'_, '_> {
    /// Adds what the futures below `frame` wait for. `what` is the name of what a future above it is known to wait for.
    fn below(&mut self, frame: &AwaitFrame, what: Option<&'static str>, depth: usize) {
        // A chain that ends too early may hide what else is waited for.
        if frame.end.is_some() || depth >= MAX_DEPTH {
            self.found.push(Wait::Unknown);
            return;
        }
        let what = what.or_else(|| name_of(&frame.function));
        match (frame.kind, &frame.children[..], frame.value) {
            (Kind::Async, [_, ..], _) => {
                frame.children.iter().for_each(|child| self.below(child, what, depth + 1));
            }
            (Kind::Other, _, Some(Value { type_: (image, offset), address })) => {
                self.by_hand(frame, TypeId { image, offset }, address.address(), what, depth);
            }
            _ => self.found.push(Wait::Unknown),
        }
    }

    /// Adds what a future that is written by hand waits for.
    fn by_hand(
        &mut self,
        frame: &AwaitFrame,
        id: TypeId,
        address: u64,
        what: Option<&'static str>,
        depth: usize,
    ) {
        let name = &*frame.function;
        if let Some((_, member)) = WRAPPERS.iter().find(|(wrapper, _)| name.starts_with(wrapper)) {
            return match self.member(id, address, member) {
                Some(inner) => self.below(&inner, what, depth + 1),
                None => self.found.push(Wait::Unknown),
            };
        }
        // `select!` and `join!` poll what is in their variable `futures`, and the children are all of these.
        if !frame.children.is_empty() && self.polls_futures(id) {
            return frame.children.iter().for_each(|child| self.below(child, what, depth + 1));
        }
        let within = name.strip_prefix(BY_FUNCTION).unwrap_or(name);
        let is_in = |modules: &[&str]| modules.iter().any(|module| within.starts_with(module));
        // mutant: E80 a future that nobody knows waits for nothing
        let not_known = Wait::Unknown;
        let wait = if is_in(&EVENTS) {
            Wait::Event
        } else if name.starts_with(PENDING) {
            Wait::Never
        } else if name.starts_with(HANDLE) {
            self.handle(id, address).map_or(Wait::Unknown, Wait::Task)
        } else if is_in(&SHARED) && frame.children.is_empty() {
            self.shared(id, address, what.or_else(|| name_of(within)))
        } else {
            not_known
        };
        self.found.push(wait);
    }

    /// Returns the frame of the future that is a member of the value of type `id` at `address`.
    fn member(&mut self, id: TypeId, address: u64, name: &str) -> Option<AwaitFrame> {
        let type_ = self.follower.types.get(id)?;
        let member = type_.member(name)?;
        Some(self.follower.future(member.type_, address.checked_add(member.offset)?, 0))
    }

    /// Whether it is the future of `select!` or `join!`.
    fn polls_futures(&mut self, id: TypeId) -> bool {
        let is_it = |type_: &Type| {
            type_.name.starts_with("{closure_env#")
                && ["futures", "_ref__futures"].iter().any(|name| type_.member(name).is_some())
        };
        let types = &mut *self.follower.types;
        let Some(type_) = types.get(id).filter(|type_| type_.name.starts_with("PollFn<")) else {
            return false;
        };
        let [function] = type_.members() else { return false };
        types.get(function.type_).is_some_and(|function| is_it(&function))
    }

    /// Returns the address of the task that a `JoinHandle` is of.
    fn handle(&mut self, id: TypeId, address: u64) -> Option<Masked> {
        let (offset, _) = self.follower.first_pointer(id, 0)?;
        let task = self.follower.trail.number(address.checked_add(offset)?, 8)?;
        (task != 0).then_some(Masked::of(task))
    }

    fn shared(&mut self, id: TypeId, address: u64, what: Option<&'static str>) -> Wait {
        let mut parts = Vec::new();
        match self.parts(id, address, 0, &mut parts) {
            Some(()) if !parts.is_empty() => Wait::Shared { what: what.unwrap_or("channel"), parts },
            _ => Wait::Unknown,
        }
    }

    /// Adds where the things are that a value of type `id` at `address` points to. It is `None` if a part cannot be read.
    fn parts(&mut self, id: TypeId, address: u64, depth: usize, parts: &mut Vec<Part>) -> Option<()> {
        if depth >= MAX_DEPTH {
            return None;
        }
        let type_ = self.follower.types.get(id)?;
        match &type_.shape {
            &Shape::Pointer(target) => self.behind(target, address, depth, parts),
            Shape::Record(members) => members.iter().try_for_each(|member| {
                self.parts(member.type_, address.checked_add(member.offset)?, depth + 1, parts)
            }),
            Shape::Choice { .. } => {
                let member = self.follower.variant(&type_, address).ok()?.member.clone();
                self.parts(member.type_, address.checked_add(member.offset)?, depth + 1, parts)
            }
            Shape::Array { .. } | Shape::Union(_) | Shape::Other => Some(()),
        }
    }

    /// Adds what the pointer at `address` leads to, whose target is of the type `id`.
    fn behind(&mut self, id: TypeId, address: u64, depth: usize, parts: &mut Vec<Part>) -> Option<()> {
        let pointer = self.follower.trail.number(address, 8)?;
        let Some(target) = self.follower.types.get(id).filter(|_| pointer != 0) else { return Some(()) };
        let name = self.follower.types.name(&target);
        let begins = |names: &[&str]| names.iter().any(|begin| name.starts_with(begin));
        let is_counted = name.starts_with(COUNTED);
        if is_counted || begins(&BORROWED) {
            parts.push(Part { address: Masked::of(pointer), is_counted });
            return Some(());
        }
        // A handle of what is shared is borrowed while the future waits.
        let leads = matches!(target.shape, Shape::Pointer(_)) || begins(&SHARED) && !name.contains(IN_LIST);
        if leads { self.parts(id, pointer, depth + 1, parts) } else { Some(()) }
    }
}

/// Returns what a future or a function of tokio waits for, if it waits for something that others share.
fn name_of(function: &str) -> Option<&'static str> {
    let rest = SHARED.iter().find_map(|module| function.strip_prefix(module))?;
    let module = match function.strip_prefix("tokio_util::sync::") {
        Some(rest) => rest,
        None => rest,
    };
    let module = module.split("::").next()?;
    NAMES.iter().find(|(name, _)| *name == module).map(|&(_, what)| what)
}
