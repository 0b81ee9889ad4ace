//! A map that never holds more than it was made for.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// Two generations: new entries and used ones live in the young; when it is full it becomes the old one, and what
/// was old and unused is forgotten. About least-recently-used, at the cost of two look-ups.
#[derive(Debug)]
pub(crate) struct Cache<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    generation: usize,
}

impl<K: Eq + Hash, V> Cache<K, V> {
    /// Holds at most `capacity` entries.
    #[must_use]
    pub(crate) fn new(capacity: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), generation: (capacity / 2).max(1) }
    }

    /// The entry, which thereby counts as used.
    pub(crate) fn get<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        if !self.young.contains_key(key) {
            let (key, value) = self.old.remove_entry(key)?;
            self.insert(key, value);
        }
        self.young.get(key)
    }

    /// Stores an entry in place of an equal one.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= self.generation && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(&key);
        self.young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn used_entries_stay_and_the_size_is_bounded() {
        let mut cache = Cache::new(4);
        cache.insert("used", 0);
        for (number, name) in (1..).zip(["a", "b", "c", "d", "e", "f", "g"]) {
            cache.insert(name, number);
            assert_eq!(cache.get("used"), Some(&0));
            assert!(cache.young.len() + cache.old.len() <= 4);
        }
        assert_eq!(cache.get("a"), None);
        assert_eq!(cache.get("g"), Some(&7));
        cache.insert("g", 8);
        assert_eq!(cache.get("g"), Some(&8));
    }
}
