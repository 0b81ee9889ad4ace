//! Permissions in Project-FiFo's form: lists of words written with `->`, matched against patterns in which `_` stands
//! for one word and `...` for one or more (contract `dtrace`, section 4; the rules are those of the original's
//! matching function).
//!
//! [`matches()`] checks one pattern as it stands and needs no preparation. [`Patterns`] is a set made ready once for
//! many checks: its patterns share one tree of words, so that a check looks only at the branches that can still
//! match, however many patterns there are. [`covers`] is the stricter question that granting asks.

use std::collections::HashMap;

/// Between the words of a written permission.
const SEPARATOR: &str = "->";

/// Pattern word for exactly one word.
const ONE: &str = "_";

/// Pattern word for one or more words; for none as well, when more pattern follows.
const MANY: &str = "...";

/// The words of a written permission or pattern. An empty text has none.
pub fn words(text: &str) -> impl Iterator<Item = &str> + Clone {
    text.split(SEPARATOR).filter(move |_| !text.is_empty())
}

/// Whether `pattern` allows `permission`.
///
/// Takes time in proportion to the product of both lengths at most, whatever the pattern.
#[must_use]
pub fn matches(permission: &[&str], pattern: &str) -> bool {
    fits(permission, pattern, |_word| true)
}

/// Whether everything that the pattern `granted` allows, `held` allows too: nobody may grant more than he holds.
///
/// As [`matches()`], but a held `_` is no match for a granted `...`, which stands for more.
#[must_use]
pub fn covers(held: &str, granted: &str) -> bool {
    let granted: Vec<&str> = words(granted).collect();
    fits(&granted, held, |word| word != MANY)
}

/// Matches word by word. On a misfit, the last `...` takes one word more; earlier ones need not be asked again,
/// because what came after them has matched as early as it can.
fn fits(permission: &[&str], pattern: &str, may_be_one: impl Fn(&str) -> bool) -> bool {
    let (mut rest, mut pattern) = (permission, words(pattern));
    let mut retry = None;
    loop {
        let mut ahead = pattern.clone();
        match (ahead.next(), rest) {
            (None, []) => return true,
            (Some(MANY), _) => {
                if ahead.clone().next().is_none() {
                    return !rest.is_empty();
                }
                retry = Some((ahead.clone(), rest));
                pattern = ahead;
            }
            (Some(word), [first, tail @ ..]) if word == *first || (word == ONE && may_be_one(first)) => {
                (pattern, rest) = (ahead, tail);
            }
            _ => {
                let Some((after, [_, tail @ ..])) = retry else { return false };
                (pattern, rest) = (after.clone(), tail);
                retry = Some((after, tail));
            }
        }
    }
}

/// A set of patterns, ready for many checks.
#[derive(Debug, Clone)]
pub struct Patterns {
    /// The tree; its root comes first. Every node is reached by exactly one pattern beginning.
    nodes: Vec<Node>,
}

#[derive(Debug, Clone, Default)]
struct Node {
    literal: HashMap<Box<str>, usize>,
    one: Option<usize>,
    many: Option<usize>,
    /// Reached by `...`: it may take any number of words.
    is_many: bool,
    /// A pattern ends here.
    is_end: bool,
}

impl<S: AsRef<str>> FromIterator<S> for Patterns {
    fn from_iter<I: IntoIterator<Item = S>>(patterns: I) -> Self {
        let mut set = Self { nodes: vec![Node::default()] };
        for pattern in patterns {
            set.insert(pattern.as_ref());
        }
        set
    }
}

impl Patterns {
    /// Whether any pattern of the set allows `permission`.
    #[must_use]
    pub fn allows(&self, permission: &[&str]) -> bool {
        let Some((last, before)) = permission.split_last() else {
            return self.nodes.first().is_some_and(|root| root.is_end);
        };
        let mut active = Active::new(self.nodes.len());
        self.enter(0, &mut active);
        for word in before {
            let mut next = Active::new(self.nodes.len());
            for place in &active.places {
                let Some(node) = self.nodes.get(*place) else { continue };
                if node.is_many {
                    self.enter(*place, &mut next);
                }
                for child in node.children(word) {
                    self.enter(child, &mut next);
                }
            }
            active = next;
        }
        active
            .places
            .iter()
            .filter_map(|place| self.nodes.get(*place))
            .any(|node| (node.is_many && node.is_end) || node.children(last).any(|child| self.is_end(child)))
    }

    fn insert(&mut self, pattern: &str) {
        let mut place = 0;
        for word in words(pattern) {
            let fresh = self.nodes.len();
            let Some(node) = self.nodes.get_mut(place) else { return };
            place = match word {
                ONE => *node.one.get_or_insert(fresh),
                MANY => *node.many.get_or_insert(fresh),
                literal => *node.literal.entry(literal.into()).or_insert(fresh),
            };
            if place == fresh {
                self.nodes.push(Node { is_many: word == MANY, ..Node::default() });
            }
        }
        if let Some(node) = self.nodes.get_mut(place) {
            node.is_end = true;
        }
    }

    /// Makes a node active, and every `...` that may begin behind it.
    fn enter(&self, place: usize, active: &mut Active) {
        let mut place = Some(place);
        while let Some(at) = place.filter(|at| active.add(*at)) {
            place = self.nodes.get(at).and_then(|node| node.many);
        }
    }

    fn is_end(&self, place: usize) -> bool {
        self.nodes.get(place).is_some_and(|node| node.is_end)
    }
}

impl Node {
    fn children(&self, word: &str) -> impl Iterator<Item = usize> {
        self.literal.get(word).copied().into_iter().chain(self.one)
    }
}

/// The nodes at which a match may stand, each once.
struct Active {
    places: Vec<usize>,
    seen: Vec<u64>,
}

impl Active {
    fn new(nodes: usize) -> Self {
        Self { places: Vec::new(), seen: vec![0; nodes.div_ceil(64)] }
    }

    /// Whether the node is new.
    fn add(&mut self, place: usize) -> bool {
        let (Some(block), bit) = (self.seen.get_mut(place / 64), 1 << (place % 64)) else { return false };
        let is_new = *block & bit == 0;
        *block |= bit;
        if is_new {
            self.places.push(place);
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Both ways of asking must agree; the answer is theirs.
    fn allows(permission: &str, pattern: &str) -> bool {
        let permission: Vec<&str> = words(permission).collect();
        let answer = matches(&permission, pattern);
        assert_eq!(Patterns::from_iter([pattern]).allows(&permission), answer, "{permission:?} by {pattern}");
        answer
    }

    /// The rules as the contract lists them, one after the other.
    fn reference(permission: &[&str], pattern: &[&str]) -> bool {
        match (permission, pattern) {
            ([], []) => true,
            (_, ["..."]) => !permission.is_empty(),
            ([], _) => false,
            (_, ["...", rest @ ..]) => {
                (0..=permission.len()).any(|skip| reference(&permission[skip..], rest))
            }
            ([first, tail @ ..], [word, rest @ ..]) => {
                (first == word || *word == "_") && reference(tail, rest)
            }
            _ => false,
        }
    }

    #[test]
    fn the_examples_of_the_contract_hold() {
        let yes = [
            ("a->b", "..."),
            ("a->b->c", "...->c"),
            ("a->b->c", "a->..."),
            ("a->b->c", "a->...->c"),
            ("a->b->c", "a->_->c"),
            ("x", "_"),
            ("get", "...->get"),
            ("a->get", "...->get"),
            ("a->b->get", "...->get"),
        ];
        for (permission, pattern) in yes {
            assert!(allows(permission, pattern), "{permission} by {pattern}");
        }
        let no = [
            ("a->b", "a"),
            ("a->b", "a->b->..."),
            ("a->b", "a->b->c"),
            ("a->b->c->d", "a->_->d"),
            ("", "..."),
            ("", "_"),
            ("a", ""),
        ];
        for (permission, pattern) in no {
            assert!(!allows(permission, pattern), "{permission} by {pattern}");
        }
        assert!(allows("", ""));
    }

    #[test]
    fn words_are_compared_byte_for_byte() {
        assert!(!allows("dtrace->A->get", "dtrace->a->get"));
        assert!(!allows("dtrace->é->get", "dtrace->e\u{301}->get"));
        assert!(allows("dtrace->é->get", "dtrace->é->get"));
    }

    #[test]
    fn a_set_allows_what_any_of_its_patterns_allows() {
        let set: Patterns = ["cloud->dtrace->list", "dtrace->_->get", "vms->..."].into_iter().collect();
        assert!(set.allows(&["cloud", "dtrace", "list"]));
        assert!(set.allows(&["dtrace", "7", "get"]));
        assert!(set.allows(&["vms", "7", "anything"]));
        assert!(!set.allows(&["dtrace", "7", "delete"]));
        assert!(!set.allows(&["vms"]));
        assert!(!Patterns::from_iter([""; 0]).allows(&["vms"]));
        assert!(!Patterns::from_iter([""; 0]).allows(&[]));
    }

    #[test]
    fn only_what_is_held_can_be_granted() {
        assert!(covers("...", "a->..."));
        assert!(covers("a->...", "a->_->c"));
        assert!(covers("a->_->c", "a->_->c"));
        assert!(!covers("a->_", "a->..."));
        assert!(!covers("_", "..."));
        assert!(!covers("a->b", "a->_"));
        assert!(!covers("a->...->c", "a->..."));
    }

    #[test]
    fn many_wildcards_against_a_long_permission_end_soon() {
        let permission = vec!["a"; 2000];
        let pattern = format!("{}b", "...->a->".repeat(200));
        let started = std::time::Instant::now();
        assert!(!matches(&permission, &pattern));
        assert!(!Patterns::from_iter([pattern]).allows(&permission));
        assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
    }

    fn written() -> impl Strategy<Value = String> {
        proptest::collection::vec(prop_oneof!["a", "b", "c", Just("_".into()), Just("...".into())], 0..7)
            .prop_map(|words: Vec<String>| words.join("->"))
    }

    proptest! {
        #[test]
        fn every_way_of_asking_agrees_with_the_written_rules(
            permission in written(),
            patterns in proptest::collection::vec(written(), 0..6),
        ) {
            let permission: Vec<&str> = words(&permission).collect();
            let mut expected = false;
            for pattern in &patterns {
                let split: Vec<&str> = words(pattern).collect();
                let answer = reference(&permission, &split);
                prop_assert_eq!(matches(&permission, pattern), answer, "{:?} by {}", permission, pattern);
                expected |= answer;
            }
            prop_assert_eq!(Patterns::from_iter(&patterns).allows(&permission), expected);
        }

        /// Nothing that a granted pattern allows is out of reach for the pattern that covers it.
        #[test]
        fn a_covered_pattern_allows_nothing_more(
            held in written(),
            granted in written(),
            permission in proptest::collection::vec(prop_oneof![Just("a"), Just("b"), Just("c"), Just("d")], 0..7),
        ) {
            if covers(&held, &granted) && matches(&permission, &granted) {
                prop_assert!(matches(&permission, &held), "{permission:?}: {granted} is covered by {held}");
            }
        }

        #[test]
        fn no_text_panics(permission in "\\PC{0,40}", pattern in "\\PC{0,40}") {
            let permission: Vec<&str> = words(&permission).collect();
            let _ = matches(&permission, &pattern);
            let _ = Patterns::from_iter([pattern]).allows(&permission);
        }
    }
}
