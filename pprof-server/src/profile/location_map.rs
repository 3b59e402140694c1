//! This map keeps something for each location of a profile.
//!
//! Path: *read path*.

use super::address_map::AddressMap;
use super::shown_stack::{Location, ShownStack};

/// Maps locations to values. Nearly all locations show every line of their place, and are looked up by its number alone.
#[derive(Debug)]
pub(crate) struct LocationMap<V> {
    /// What is kept for each place that shows all of its lines.
    whole: Vec<Option<V>>,
    cut: AddressMap<Location, V>,
}

impl<V> LocationMap<V> {
    /// Makes an empty map for locations at so many places.
    pub(crate) fn new(places: usize) -> LocationMap<V> {
        LocationMap {
            whole: std::iter::repeat_with(|| None).take(places).collect(),
            cut: AddressMap::default(),
        }
    }

    /// Returns what is kept for `location`.
    #[inline]
    pub(crate) fn get(&self, location: Location) -> Option<&V> {
        match location.skipped_lines {
            0 => self.whole.get(location.place as usize)?.as_ref(),
            _ => self.cut.get(&location),
        }
    }

    /// Keeps `value` for `location`, whose place must be one of those that the map was made for.
    pub(crate) fn insert(&mut self, location: Location, value: V) {
        match location.skipped_lines {
            0 => self.whole[location.place as usize] = Some(value),
            _ => drop(self.cut.insert(location, value)),
        }
    }

    /// Returns what is kept for `location`, which `make` makes if there is nothing yet.
    #[inline]
    pub(crate) fn get_or_insert_with(&mut self, location: Location, make: impl FnOnce() -> V) -> &V {
        match location.skipped_lines {
            0 => self.whole[location.place as usize].get_or_insert_with(make),
            _ => self.cut.entry(location).or_insert_with(make),
        }
    }

    /// Forgets all values but those that `is_kept` picks.
    pub(crate) fn retain(&mut self, is_kept: impl Fn(&V) -> bool) {
        self.whole.iter_mut().for_each(|value| *value = value.take().filter(&is_kept));
        self.cut.retain(|_, value| is_kept(value));
    }
}

impl LocationMap<Vec<u32>> {
    /// Returns the numbers of all locations on `stack`, one after another, leaf first. Those of a location come from
    /// `of_location`, which is asked once.
    pub(crate) fn of_stack(
        &mut self,
        stack: ShownStack<'_>,
        mut of_location: impl FnMut(Location) -> Vec<u32>,
    ) -> Vec<u32> {
        let mut all = Vec::new();
        stack.locations().for_each(|location| {
            all.extend_from_slice(self.get_or_insert_with(location, || of_location(location)));
        });
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_location_is_another_one_than_the_whole_place() {
        let at = |place, skipped_lines| Location { place, skipped_lines };
        let mut map = LocationMap::new(3);
        map.insert(at(2, 0), 'w');
        map.insert(at(2, 1), 'c');
        let found =
            |map: &LocationMap<char>| [at(2, 0), at(2, 1), at(2, 2), at(1, 0)].map(|at| map.get(at).copied());
        assert_eq!(found(&map), [Some('w'), Some('c'), None, None]);
        assert_eq!(map.get_or_insert_with(at(2, 1), || unreachable!()), &'c');
        assert_eq!(map.get_or_insert_with(at(0, 0), || 'n'), &'n');
        map.retain(|&value| value == 'c');
        assert_eq!(found(&map), [None, Some('c'), None, None]);
        map.retain(|_| false);
        assert_eq!(found(&map), [None; 4]);
    }
}
