//! Places that pipelines share, so that one that hangs leaves some to the others.

use std::collections::HashMap;

/// So many places, and who has them.
///
/// A pipeline may take one as long as more are free than it has: half of all for the first, half of the rest for the
/// next. Eight places bear three pipelines that hang, and a fourth still gets its turn.
#[derive(Debug, Clone)]
pub(super) struct Places {
    total: usize,
    taken: usize,
    by_pipeline: HashMap<String, usize>,
}

impl Places {
    pub(super) fn new(total: usize) -> Self {
        Self { total, taken: 0, by_pipeline: HashMap::new() }
    }

    /// How many more a pipeline may take.
    pub(super) fn room(&self, pipeline: &str) -> usize {
        let free = self.total.saturating_sub(self.taken);
        free.saturating_sub(self.held(pipeline)).div_ceil(2)
    }

    /// How many a pipeline has.
    pub(super) fn held(&self, pipeline: &str) -> usize {
        self.by_pipeline.get(pipeline).copied().unwrap_or(0)
    }

    pub(super) fn hold(&mut self, pipeline: &str, count: usize) {
        self.taken += count;
        *self.by_pipeline.entry(pipeline.to_owned()).or_default() += count;
    }

    /// Gives one back.
    pub(super) fn leave(&mut self, pipeline: &str) {
        let Some(held) = self.by_pipeline.get_mut(pipeline) else { return };
        *held -= 1;
        self.taken -= 1;
        if *held == 0 {
            self.by_pipeline.remove(pipeline);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes all that the pipeline may have, one by one; how many.
    fn fill(places: &mut Places, pipeline: &str) -> usize {
        let (expected, mut count) = (places.room(pipeline), 0);
        while places.room(pipeline) > 0 {
            places.hold(pipeline, 1);
            count += 1;
        }
        assert_eq!(count, expected, "one by one or at once is the same");
        count
    }

    #[test]
    fn pipelines_that_keep_their_places_leave_some_to_the_next() {
        let mut places = Places::new(8);
        assert_eq!(["a", "b", "c", "d"].map(|name| fill(&mut places, name)), [4, 2, 1, 1]);
        assert_eq!(places.room("e"), 0);
        places.leave("a");
        assert_eq!((places.room("a"), places.room("e")), (0, 1), "who has less goes first");
    }

    #[test]
    fn one_place_is_for_whoever_comes() {
        let mut places = Places::new(1);
        assert_eq!((fill(&mut places, "a"), fill(&mut places, "b")), (1, 0));
        places.leave("a");
        assert_eq!(fill(&mut places, "b"), 1);
    }
}
