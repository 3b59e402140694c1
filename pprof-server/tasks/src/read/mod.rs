//! Reads a task: its header, the type of its cell, and the futures in it.

mod chain;
mod children;
mod trail;
mod waits;
mod words;

use crate::error::Unread;
use crate::memory::{Masked, Memory};
use crate::scan::Poll;
use crate::task::{AwaitFrame, Block, End, Kind, State, Task};
use crate::typed::{Extent, Typed};
use crate::types::{HeaderLayout, Shape, Type, TypeId, Types};
use crate::wait::Waiting;
use chain::Follower;
use std::sync::Arc;
use trail::Trail;
pub(crate) use words::word;

/// The bits of a task's state word that are looked at. Its count of references is above them.
const RUNNING: u64 = 1 << 0;
const COMPLETE: u64 = 1 << 1;
const NOTIFIED: u64 = 1 << 2;
const HAS_HANDLE: u64 = 1 << 3;
const CANCELLED: u64 = 1 << 5;
const ONE_REFERENCE: u64 = 1 << 6;

/// Without types, the header is taken to be as it is in all versions of tokio 1 that have one.
const USUAL_HEADER: HeaderLayout = HeaderLayout { state: 0, vtable: 16, poll: None };
/// So many functions a table of a task's functions has at least.
const FUNCTIONS: u64 = 7;
/// Several units may have a type of the same name. So many of them are tried.
const MAX_CANDIDATES: usize = 4;

/// Reads the task in `block`.
pub(crate) fn task(types: &mut Types, memory: &dyn Memory, block: Block) -> Result<Task, Unread> {
    task_with(types, memory, block, |_, _, _| ()).map(|(task, _, ())| task)
}

/// Reads the task in `block`, and what it waits for.
pub(crate) fn waiting(types: &mut Types, memory: &dyn Memory, block: Block) -> Result<Waiting, Unread> {
    let (task, state, waits) = task_with(types, memory, block, waits::waits)?;
    let (references, has_handle) = (state / ONE_REFERENCE, state & HAS_HANDLE != 0);
    Ok(Waiting { task, waits, references, has_handle, memory: cell(types, memory, block) })
}

/// Returns the memory of the task in `block` by its type, if it is surely of that.
fn cell(types: &mut Types, memory: &dyn Memory, block: Block) -> Option<Typed> {
    let mut trail = Trail::new(memory);
    let layouts = header_layouts(types);
    let polls = layouts.into_iter().find_map(|layout| polls(types, &mut trail, block, layout))?;
    let (frame, type_) = future(types, &mut trail, block, &polls).ok()?;
    let is_sure = frame.end != Some(End::Ambiguous);
    let at = Masked::of(block.address);
    type_.filter(|_| is_sure).map(|type_| Typed { type_, extent: Extent::One, at })
}

/// Reads the task in `block`, its state, and what `more` reads of it, all at one moment.
fn task_with<'m, T>(
    types: &mut Types,
    memory: &'m dyn Memory,
    block: Block,
    more: impl FnOnce(&mut Types, &mut Trail<'m>, &AwaitFrame) -> T,
) -> Result<(Task, u64, T), Unread> {
    let mut trail = Trail::new(memory);
    let header = header_layouts(types)
        .into_iter()
        .find_map(|layout| Some((layout, polls(types, &mut trail, block, layout)?)));
    let Some((layout, polls)) = header else { return Err(Unread::NotATask) };
    let state = |trail: &Trail<'_>| trail.look(block.address.wrapping_add(layout.state), 8);
    let before = state(&trail).ok_or(Unread::NotATask)?;
    if before < ONE_REFERENCE {
        return Err(Unread::NotATask);
    }
    is_idle(before)?;
    let future = match before & COMPLETE {
        0 => future(types, &mut trail, block, &polls)?.0,
        _ => AwaitFrame { end: None, ..name_alone(types, &polls)? },
    };
    let more = more(types, &mut trail, &future);
    let after = state(&trail).ok_or(Unread::Busy)?;
    is_idle(after)?;
    // mutant: E9 what was read is not looked at again
    if !trail.is_unchanged() || (before ^ after) & COMPLETE != 0 {
        return Err(Unread::Busy);
    }
    let state = match after {
        after if after & COMPLETE != 0 => State::Complete,
        after if after & NOTIFIED != 0 => State::Scheduled,
        _ => State::Suspended,
    };
    Ok((Task { state, is_cancelled: after & CANCELLED != 0, future }, after, more))
}

fn is_idle(state: u64) -> Result<(), Unread> {
    // mutant: E9 a task that runs is read
    match state & RUNNING {
        0 => Ok(()),
        _ => Err(Unread::Busy),
    }
}

/// Returns how headers of tasks may look in this program, without repetition.
fn header_layouts(types: &mut Types) -> Vec<HeaderLayout> {
    if let Some(known) = &types.header_layouts {
        return known.clone();
    }
    let headers: Vec<TypeId> = types.headers().collect();
    let mut layouts: Vec<HeaderLayout> = Vec::new();
    for id in headers {
        let layout = header_layout(types, id);
        layouts.extend(layout.filter(|layout| !layouts.contains(layout)));
    }
    if !layouts.contains(&USUAL_HEADER) {
        layouts.push(USUAL_HEADER);
    }
    types.header_layouts = Some(layouts.clone());
    layouts
}

fn header_layout(types: &mut Types, id: TypeId) -> Option<HeaderLayout> {
    let header = types.get(id)?;
    let vtable = header.member("vtable")?;
    let Shape::Pointer(table) = types.get(vtable.type_)?.shape else { return None };
    let poll = types.get(table)?.member("poll")?.offset;
    Some(HeaderLayout { state: header.member("state")?.offset, vtable: vtable.offset, poll: Some(poll) })
}

/// Returns the functions that poll the task, which several types may share. It is `None` if the block is no task.
fn polls(
    types: &Types,
    trail: &mut Trail<'_>,
    block: Block,
    layout: HeaderLayout,
) -> Option<Vec<(u16, Poll)>> {
    let vtable = trail.number(block.address.wrapping_add(layout.vtable), 8)?;
    let offsets = match layout.poll {
        Some(offset) => offset..offset + 8,
        None => 0..FUNCTIONS * 8,
    };
    offsets.step_by(8).find_map(|offset| {
        let function = trail.look(vtable.checked_add(offset)?, 8)?;
        let polls = types.polls_at(function);
        (!polls.is_empty()).then_some(polls)
    })
}

/// Returns the chain of the future in a cell, and the type of the cell: of the types that it may have, the one that leads farthest.
fn future(
    types: &mut Types,
    trail: &mut Trail<'_>,
    block: Block,
    polls: &[(u16, Poll)],
) -> Result<(AwaitFrame, Option<TypeId>), Unread> {
    if let Some(ambiguous) = shared_code(types, polls) {
        return Ok((ambiguous, None));
    }
    let mut is_other_size = false;
    let mut best: Option<(AwaitFrame, Arc<Type>, TypeId)> = None;
    for id in types.cells_of(polls, MAX_CANDIDATES) {
        let Some(cell) = types.get(id) else { continue };
        // mutant: E9 a block may have another size than the task
        if block.bytes.is_some_and(|bytes| bytes != cell.bytes) {
            is_other_size = true;
            continue;
        }
        trail.copy(block.address, cell.bytes);
        let Some((stage, offset)) = stage(types, &cell) else { continue };
        let Some(found) = in_stage(types, trail, &stage, block.address.wrapping_add(offset)) else {
            continue;
        };
        // No other description can lead farther than one that lacks nothing.
        let is_whole = is_whole(&found);
        if best.as_ref().is_none_or(|(best, ..)| length(best) < length(&found)) {
            best = Some((found, cell, id));
        }
        if is_whole {
            break;
        }
    }
    match best {
        Some((future, cell, id)) => Ok((with_lookalikes(types, future, &cell), Some(id))),
        None if is_other_size => Err(Unread::NotATask),
        None => Ok((name_alone(types, polls)?, None)),
    }
}

/// Names a future that is written by hand by all types that it may be of. Whatever waits for others is known by those.
fn with_lookalikes(types: &mut Types, future: AwaitFrame, cell: &Type) -> AwaitFrame {
    if future.kind != Kind::Other || !future.children.is_empty() {
        return future;
    }
    let names = types.lookalikes(cell);
    match names.is_empty() {
        true => future,
        false => ambiguous([future.function].into_iter().chain(names)),
    }
}

/// The linker may have made one function of several that poll futures of different types, and then it cannot be known of which
/// type this one is.
fn shared_code(types: &mut Types, polls: &[(u16, Poll)]) -> Option<AwaitFrame> {
    let (_, first) = polls.first()?;
    if polls.iter().all(|(_, poll)| poll.arguments == first.arguments) {
        return None;
    }
    let names = polls.iter().filter_map(|&(image, poll)| types.future_of_poll(image, poll));
    let mut names: Vec<_> = names.collect();
    names.sort();
    names.dedup();
    Some(ambiguous(names.into_iter()))
}

/// Returns the frame of a future that is of one of several types.
fn ambiguous(names: impl Iterator<Item = Arc<str>>) -> AwaitFrame {
    let names: Vec<_> = names.take(MAX_CANDIDATES).collect();
    let function = names.join(" or ").into();
    AwaitFrame { function, end: Some(End::Ambiguous), ..AwaitFrame::bare(Kind::Other) }
}

fn is_whole(frame: &AwaitFrame) -> bool {
    frame.end != Some(End::NoTypes) && frame.children.iter().all(is_whole)
}

fn length(frame: &AwaitFrame) -> usize {
    1 + frame.children.iter().map(length).sum::<usize>()
}

/// Finds the enum in a cell that has the future, and its offset there.
fn stage(types: &mut Types, cell: &Type) -> Option<(Arc<Type>, u64)> {
    let core = cell.member("core")?.clone();
    let stage = types.get(core.type_)?.member("stage")?.clone();
    let mut offset = core.offset.checked_add(stage.offset)?;
    let mut type_ = types.get(stage.type_)?;
    // The enum is in cells of its own.
    for _ in 0..4 {
        if let Shape::Choice { .. } = type_.shape {
            return Some((type_, offset));
        }
        let [only] = type_.members() else { return None };
        offset = offset.checked_add(only.offset)?;
        type_ = types.get(only.type_)?;
    }
    None
}

/// Follows the future in `stage`. It is `None` if there is no future in it.
fn in_stage(types: &mut Types, trail: &mut Trail<'_>, stage: &Type, address: u64) -> Option<AwaitFrame> {
    let mut follower = Follower::new(types, trail);
    let variant = follower.variant(stage, address).ok()?;
    if &*variant.member.name != "Running" {
        return None;
    }
    let running = follower.types.get(variant.member.type_)?;
    let [only] = running.members() else { return None };
    let address = address.wrapping_add(variant.member.offset).wrapping_add(only.offset);
    Some(follower.future(only.type_, address, 0))
}

/// Returns what is known of a task without its memory: the type of its future.
fn name_alone(types: &mut Types, polls: &[(u16, Poll)]) -> Result<AwaitFrame, Unread> {
    let name = polls.iter().find_map(|&(image, poll)| types.future_of_poll(image, poll));
    let function = name.ok_or(Unread::NoTypes)?;
    let end = Some(End::NoTypes);
    Ok(AwaitFrame { function, end, ..AwaitFrame::bare(Kind::Other) })
}
