//! This source makes a profile of the heap, from a snapshot or from a difference of two.
//!
//! Each row is a stack in one size class, and perhaps in one group of age. The four value types are Go's.
//!
//! Path: *read path*.

mod age_groups;
mod legacy;
mod notes;
mod options;
mod sample_type;

use crate::labels;
use crate::mappings::Mappings;
use crate::profile::{
    AddressMap, Cohort, Estimate, Family, Label, LabelValue, LabelsId, Marker, Period, Profile, Rows, Stacks,
    Symbolize, Unit, ValueType,
};
#[cfg(feature = "http")]
pub(crate) use crate::sources::losses::Loss;
use alloc_profiler::internal::literal;
use alloc_profiler::{AgeTotals, SizeTotals, Snapshot, Totals};
use legacy::HeapText;
#[cfg(feature = "http")]
pub(crate) use notes::{FileLoss, losses, losses_by_file, symbols_of};
pub use options::{Labels, ProfileKind, ProfileOptions};
pub use sample_type::SampleType;

/// The values of a row, in Go's order.
pub(crate) static TYPES: [ValueType; 4] = [
    value_type(SampleType::AllocObjects),
    value_type(SampleType::AllocSpace),
    value_type(SampleType::InuseObjects),
    value_type(SampleType::InuseSpace),
];

/// What a row of what is in use alone has.
#[cfg(feature = "http")]
pub(crate) static IN_USE_TYPES: [ValueType; 2] =
    [value_type(SampleType::InuseObjects), value_type(SampleType::InuseSpace)];

const fn value_type(of: SampleType) -> ValueType {
    let unit = if of.is_space() { Unit::Bytes } else { Unit::Count };
    ValueType { name: of.name(), unit, family: if of.is_inuse() { &IN_USE } else { &ALLOCATED } }
}

static ALLOCATED: Family = Family {
    total: "Allocated since the start",
    change: "Allocated",
    whole: "what was allocated",
    state: "allocated",
    no_change: "nothing allocated",
    events: "objects",
    samples: "alloc_samples",
    comes_and_goes: false,
};

static IN_USE: Family = Family {
    total: "In use",
    change: "Growth",
    whole: "what is in use",
    state: "in use",
    no_change: "as much in use as before",
    events: "objects",
    samples: "inuse_samples",
    comes_and_goes: true,
};

/// Makes the profile of the heap from `snapshot`.
///
/// Cost: it names the addresses, and takes some 50 ns for each stack and size class.
pub(crate) fn profile(snapshot: &Snapshot, options: &ProfileOptions) -> Profile {
    let stacks = stacks(snapshot, Mappings::of_process(), options.symbolize);
    profile_of(snapshot, options, stacks)
}

/// Returns the stacks of `snapshot` in its order, and after them the marker that its overflow stands under.
pub(crate) fn stacks(snapshot: &Snapshot, mappings: Mappings, symbolize: Symbolize) -> Stacks {
    let traces = snapshot.stacks.iter().map(|stack| &stack.trace);
    Stacks::of(traces, &[Marker::OVERFLOW], mappings, symbolize)
}

/// Makes the profile of the heap from `snapshot`, whose [`stacks`] are given.
pub(crate) fn profile_of(snapshot: &Snapshot, options: &ProfileOptions, stacks: Stacks) -> Profile {
    // Go names no default for `heap`: viewers then open on the last type, bytes in use.
    let default = match options.kind {
        ProfileKind::Heap => None,
        ProfileKind::Allocs => Some(SampleType::AllocSpace),
    };
    let totals = snapshot.totals();
    Profile {
        name: match options.kind {
            ProfileKind::Heap => "heap",
            ProfileKind::Allocs => "allocs",
        },
        types: &TYPES,
        shown_type: options.shown_type().index(),
        default_type: options.sample_type.or(default).map(SampleType::index),
        period: Period {
            name: "space",
            unit: Unit::Bytes,
            value: snapshot.sampling_interval,
            field: "sampling_interval_bytes",
        },
        time: snapshot.taken_at,
        duration: snapshot.duration,
        frames: options.frames,
        rows: rows(snapshot, options.labels),
        is_known: is_known(snapshot, alloc_profiler::is_installed()),
        totals: estimates(&totals).to_vec(),
        notes: notes::notes(snapshot, &totals, &stacks),
        own_bytes: snapshot.own_memory.mapped_bytes,
        legacy: HeapText::of,
        stacks,
    }
}

fn rows(snapshot: &Snapshot, labels: Labels) -> Rows {
    let count = snapshot.stacks.iter().map(|stack| stack.by_size.len()).sum();
    let mut rows = HeapRows { rows: Rows::new(TYPES.len(), count), labels, ids: AddressMap::default() };
    for (index, stack) in snapshot.stacks.iter().enumerate() {
        stack.by_size.iter().for_each(|size| rows.push(index, size));
    }
    snapshot.overflow.iter().for_each(|size| rows.push(snapshot.stacks.len(), size));
    rows.rows
}

/// Collects the rows of a profile under construction.
struct HeapRows {
    rows: Rows,
    labels: Labels,
    /// Numbers the labels of each size class, group of age, set of the program's own, and who asked. There are few of them, and many rows.
    ids: AddressMap<(u64, Option<u64>, u32, bool), LabelsId>,
}

impl HeapRows {
    /// Adds what was allocated in one size class of the stack at `stack`.
    fn push(&mut self, stack: usize, size: &SizeTotals) {
        if self.labels == Labels::SizeAndAge {
            let (freed, by_age) = age_groups::parts(size);
            for (group, totals) in by_age {
                let labels = self.labels(size, Some(group));
                self.rows.push(stack, labels, &estimates(&totals), []);
            }
            if freed != Totals::default() {
                let labels = self.labels(size, None);
                self.rows.push(stack, labels, &estimates(&freed), []);
            }
        } else {
            let labels = self.labels(size, None);
            self.rows.push(stack, labels, &estimates(&size.totals), size.ages.iter().map(cohort));
        }
    }

    /// Returns the number of the labels of a size class, whose bound is in bytes, with its own labels and who asked, and of a group of
    /// age, in seconds.
    fn labels(&mut self, size: &SizeTotals, age_group: Option<u64>) -> LabelsId {
        let &SizeTotals { size_class, label, is_by_c, .. } = size;
        if let Some(&id) = self.ids.get(&(size_class, age_group, label, is_by_c)) {
            return id;
        }
        let number = |key, number, unit| {
            let number = i64::try_from(number).unwrap_or(i64::MAX);
            Label { key, value: LabelValue::Number(number, unit) }
        };
        let has_size = self.labels != Labels::None && size_class > 0;
        let size = has_size.then(|| number("bytes", size_class, "bytes"));
        let age = age_group.map(|group| number("age", group, "seconds"));
        let has_labels = self.labels != Labels::None;
        let own = labels::of_number(if has_labels { label } else { 0 });
        let by_c =
            (has_labels && is_by_c).then(|| Label { key: "allocator", value: LabelValue::Text("c".into()) });
        let id = self.rows.labels_id(size.into_iter().chain(age).chain(by_c).chain(own).collect());
        self.ids.insert((size_class, age_group, label, is_by_c), id);
        id
    }
}

/// Whether anything could be sampled. Otherwise the sums are those of a program that nobody has looked at. A difference
/// may tell of frees alone, if sampling was switched off before it began.
pub(crate) fn is_known(snapshot: &Snapshot, is_installed: bool) -> bool {
    // The totals are added up only where the answer depends on them.
    is_installed && snapshot.sampling_interval > 0 || has_samples(&snapshot.totals())
}

/// Whether these totals, of a moment with this interval, are those of a program that somebody has looked at.
#[cfg(feature = "http")]
pub(crate) fn are_known(totals: &Totals, sampling_interval: u64, is_installed: bool) -> bool {
    is_installed && sampling_interval > 0 || has_samples(totals)
}

fn has_samples(totals: &Totals) -> bool {
    totals.alloc_samples > 0 || totals.inuse_samples != 0
}

/// Returns the cohort of what is in use of one age.
pub(crate) fn cohort(ages: &AgeTotals) -> Cohort {
    Cohort { age: ages.age, count: ages.objects }
}

/// Returns the values of `totals`, in the order of [`TYPES`].
pub(crate) fn estimates(totals: &Totals) -> [Estimate; 4] {
    let estimate = |value, samples, variance| Estimate { value, samples, variance };
    [
        estimate(totals.alloc_objects, totals.alloc_samples, totals.alloc_objects_variance),
        estimate(totals.alloc_bytes, totals.alloc_samples, totals.alloc_bytes_variance),
        estimate(totals.inuse_objects, totals.inuse_samples, totals.inuse_objects_variance),
        estimate(totals.inuse_bytes, totals.inuse_samples, totals.inuse_bytes_variance),
    ]
}

/// Returns the totals that have these values, which are in the order of [`TYPES`].
pub(crate) fn totals(values: &[Estimate]) -> Totals {
    let value = |of: SampleType| values.get(of.index()).copied().unwrap_or_default();
    let (alloc_objects, alloc_space) = (value(SampleType::AllocObjects), value(SampleType::AllocSpace));
    let (inuse_objects, inuse_space) = (value(SampleType::InuseObjects), value(SampleType::InuseSpace));
    literal!(Totals {
        alloc_objects: alloc_objects.value,
        alloc_bytes: alloc_space.value,
        alloc_samples: alloc_space.samples,
        inuse_objects: inuse_objects.value,
        inuse_bytes: inuse_space.value,
        inuse_samples: inuse_space.samples,
        alloc_objects_variance: alloc_objects.variance,
        alloc_bytes_variance: alloc_space.variance,
        inuse_objects_variance: inuse_objects.variance,
        inuse_bytes_variance: inuse_space.variance,
        ..Totals::default()
    })
}
