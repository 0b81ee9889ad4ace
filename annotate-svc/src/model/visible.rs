//! Which annotations a caller may see in lists: those he may read one by one, with `annotations->{id}->get`.

use shared::permission::{Patterns, covers, words};
use std::sync::Arc;
use uuid::Uuid;

/// Annotations that are looked up one by one at most; of a caller who names more, all are looked through.
const MOST_NAMED: usize = 1000;

/// A word that no id is: who may see the annotation of this name may see others than those that his permissions name.
const NOBODY: &str = "nobody";

/// The annotations that a caller may see. Cloning shares it.
#[derive(Debug, Clone, Default)]
pub struct Visible(Option<Arc<Part>>);

/// Some of them only.
#[derive(Debug)]
struct Part {
    patterns: Patterns,
    /// All that can be, where the patterns name them.
    named: Option<Vec<Uuid>>,
}

impl Part {
    fn of(permissions: &[String]) -> Self {
        let patterns: Patterns = permissions.iter().collect();
        let named = (!is_allowed(&patterns, NOBODY)).then(|| {
            let ids =
                permissions.iter().flat_map(|held| words(held)).filter(|word| is_allowed(&patterns, word));
            let mut ids: Vec<Uuid> = ids.filter_map(|word| word.parse().ok()).collect();
            ids.sort_unstable();
            ids.dedup();
            ids
        });
        Self { patterns, named: named.filter(|ids| ids.len() <= MOST_NAMED) }
    }
}

fn is_allowed(patterns: &Patterns, id: &str) -> bool {
    patterns.allows(&["annotations", id, "get"])
}

impl Visible {
    /// By the caller's permissions.
    #[must_use]
    pub fn to(permissions: &[String]) -> Self {
        let sees_all = permissions.iter().any(|held| covers(held, "annotations->_->get"));
        Self((!sees_all).then(|| Arc::new(Part::of(permissions))))
    }

    /// Whether nothing is hidden.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.0.is_none()
    }

    /// Whether this annotation may be seen.
    #[must_use]
    pub fn has(&self, id: Uuid) -> bool {
        self.0.as_ref().is_none_or(|part| is_allowed(&part.patterns, &id.to_string()))
    }

    /// All that may be seen, if they are named one by one and are few.
    #[must_use]
    pub fn named(&self) -> Option<&[Uuid]> {
        self.0.as_ref()?.named.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: &str = "11111111-2222-4333-8444-555555555555";
    const BOB: &str = "66666666-7777-4888-8999-aaaaaaaaaaaa";

    fn visible(permissions: &[&str]) -> Visible {
        Visible::to(
            &permissions
                .iter()
                .map(|held| (*held).replace("ADA", ADA).replace("BOB", BOB))
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn those_who_may_see_single_annotations_have_them_named() {
        let (ada, bob): (Uuid, Uuid) = (ADA.parse().unwrap(), BOB.parse().unwrap());
        for (held, named) in [
            (&["annotations->BOB->get", "annotations->ADA->...", "scripts->..."][..], Some(&[ada, bob][..])),
            (&["annotations->ADA->get", "annotations->ADA->edit", "_->ADA->_"], Some(&[ada])),
            (&["annotations->ADA->edit", "scripts->ADA->get", "annotations->list"], Some(&[])),
            (&["annotations->many->get"], Some(&[])),
            (&[], Some(&[])),
            (&["annotations->ADA->get", "annotations->_->get"], None),
            (&["..."], None),
        ] {
            assert_eq!(visible(held).named(), named, "{held:?}");
        }
        assert!(visible(&["annotations->ADA->get"]).has(ada));
        assert!(!visible(&["annotations->ADA->get"]).has(bob));
    }

    #[test]
    fn many_are_not_named() {
        let permissions = |count: u128| -> Vec<String> {
            (0..count).map(|id| format!("annotations->{}->get", Uuid::from_u128(id))).collect()
        };
        assert_eq!(Visible::to(&permissions(1000)).named().map(<[_]>::len), Some(1000));
        let many = Visible::to(&permissions(1001));
        assert_eq!(many.named(), None);
        assert!(many.has(Uuid::from_u128(1000)) && !many.has(Uuid::from_u128(1001)));
    }
}
