//! Labels set rows of one stack apart.
//!
//! Path: *read path*.

use std::collections::HashMap;

/// Labels a row with one key and value. Labels are ordered by key, and then by value.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Label {
    /// What it tells, such as `bytes` or `thread`.
    pub(crate) key: &'static str,
    /// What it says.
    pub(crate) value: LabelValue,
}

/// The keys that writers look for.
#[cfg(feature = "http")]
impl Label {
    /// Tells the number of a thread, or the address of a task.
    pub(crate) const ID: &str = "id";
    /// Tells whether it is a thread or a task.
    pub(crate) const KIND: &str = "kind";
    /// Tells how it was found out where a thread or a task is.
    pub(crate) const SOURCE: &str = "source";
    /// What a thread or a task does.
    pub(crate) const STATE: &str = "state";
    /// A thread's name.
    pub(crate) const THREAD: &str = "thread";
    /// Tells why it is not known where a task waits.
    pub(crate) const UNREAD: &str = "unread";
    /// What a thread waits in.
    pub(crate) const WAITS: &str = "waits";
}

/// What a label says.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum LabelValue {
    /// It is a number, with its unit.
    Number(i64, &'static str),
    /// A text, such as a thread's name.
    #[cfg_attr(not(feature = "http"), allow(dead_code, reason = "heap profiles have numbers only"))]
    Text(Box<str>),
}

/// The number of the set of labels that one row has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct LabelsId(u32);

/// Every set of labels that rows have, each once. There are few of them, and rows are compared by their numbers.
#[derive(Debug)]
pub(crate) struct LabelSets {
    sets: Vec<Vec<Label>>,
    ids: HashMap<Vec<Label>, LabelsId>,
}

impl LabelSets {
    /// Begins with the empty set, whose number is the default.
    pub(crate) fn new() -> LabelSets {
        LabelSets { sets: vec![Vec::new()], ids: HashMap::from([(Vec::new(), LabelsId(0))]) }
    }

    /// Returns the number of a set of labels, whose keys differ. Writers keep the order of the labels, which must be
    /// the same for all rows.
    pub(crate) fn id(&mut self, labels: Vec<Label>) -> LabelsId {
        let next = LabelsId(self.sets.len() as u32);
        *self.ids.entry(labels).or_insert_with_key(|labels| {
            self.sets.push(labels.clone());
            next
        })
    }

    /// Returns the labels of the set.
    pub(crate) fn get(&self, id: LabelsId) -> &[Label] {
        self.sets.get(id.0 as usize).map_or(&[], |set| set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_sets_are_one() {
        let mut sets = LabelSets::new();
        let number = |key, number| Label { key, value: LabelValue::Number(number, "bytes") };
        let text = Label { key: "thread", value: LabelValue::Text("main".into()) };
        let both = sets.id(vec![number("bytes", 8), text.clone()]);
        assert_eq!(sets.id(vec![number("bytes", 8), text.clone()]), both);
        assert_eq!(sets.get(both), [number("bytes", 8), text]);
        assert_eq!((sets.id(Vec::new()), sets.get(LabelsId::default())), (LabelsId::default(), &[][..]));
        assert_ne!(sets.id(vec![number("bytes", 16)]), both);
    }
}
