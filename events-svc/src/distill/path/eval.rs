//! Walks a path over a document.
//!
//! Each kind of path hands its matches to a callback, and a child path is the left side calling back into
//! the right one. So places live on the stack, know the places above them, and nothing is collected.

use std::cell::Cell;
use std::cmp::Ordering;
use std::ops::ControlFlow;

use serde_json::Value;

use super::super::python;
use super::operators::{self, size};
use super::{Condition, Operand, Path, TooManySteps};

/// Most steps of one walk; copied values count with their size. Only a path with several `..` on a large
/// document comes near it.
pub(super) const MAX_STEPS: usize = 250_000;

/// A match: a value and the way to it.
#[derive(Debug)]
pub(in super::super) struct Place<'a> {
    /// The value found.
    pub(in super::super) value: &'a Value,
    above: Option<&'a Place<'a>>,
    step: Step<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    /// The document itself, or a value an operator made.
    None,
    Field(&'a str),
    Index(usize),
}

impl<'a> Place<'a> {
    fn top(value: &'a Value) -> Self {
        Self { value, above: None, step: Step::None }
    }

    fn below(&'a self, value: &'a Value, step: Step<'a>) -> Self {
        Self { value, above: Some(self), step }
    }

    /// The way in dotted form: `payload.nics.[0].mac`; empty for a value an operator made.
    pub(in super::super) fn dotted(&self) -> String {
        let mut text = self.above.map_or_else(String::new, Place::dotted);
        if self.above.is_some_and(|above| above.above.is_some()) {
            text.push('.');
        }
        match self.step {
            Step::None => {}
            Step::Field(name) => text.push_str(name),
            Step::Index(index) => text.push_str(&format!("[{index}]")),
        }
        text
    }
}

type Flow = ControlFlow<()>;
type Found<'f> = &'f mut dyn FnMut(&Place<'_>) -> Flow;

/// See [`Path::visit`].
pub(super) fn visit(path: &Path, document: &Value, found: Found<'_>) -> Result<(), TooManySteps> {
    let walk = Walk { steps_left: Cell::new(MAX_STEPS) };
    // A broken walk is one that found enough, or one that ran out of steps.
    let _ = walk.path(path, &Place::top(document), found);
    if walk.steps_left.get() == 0 { Err(TooManySteps) } else { Ok(()) }
}

struct Walk {
    steps_left: Cell<usize>,
}

impl Walk {
    fn charge(&self, steps: usize) -> Flow {
        self.steps_left.set(self.steps_left.get().saturating_sub(steps));
        if self.steps_left.get() == 0 { Flow::Break(()) } else { Flow::Continue(()) }
    }

    fn path(&self, path: &Path, at: &Place<'_>, found: Found<'_>) -> Flow {
        self.charge(1)?;
        match path {
            Path::This => found(at),
            Path::Root => {
                let mut top = at;
                while let Some(above) = top.above {
                    top = above;
                }
                found(top)
            }
            Path::Parent => at.above.map_or(Flow::Continue(()), |above| found(above)),
            Path::Child(left, right) => self.path(left, at, &mut |place| self.path(right, place, found)),
            Path::Union(left, right) => {
                self.path(left, at, found)?;
                self.path(right, at, found)
            }
            Path::Descendants(left, right) => {
                self.path(left, at, &mut |place| self.descend(right, place, found))
            }
            Path::Where(left, right) => self.path(left, at, &mut |place| {
                if self.finds(right, place) { found(place) } else { Flow::Continue(()) }
            }),
            Path::Fields(_) | Path::AnyField => self.fields(path, at, found),
            Path::Index(_) | Path::Slice(..) | Path::Filter(_) => self.items(path, at, found),
            Path::Sort(_) | Path::Len | Path::Split(..) | Path::Sub(..) | Path::Arithmetic(..) => {
                self.made(path, at, found)
            }
        }
    }

    fn finds(&self, path: &Path, at: &Place<'_>) -> bool {
        let mut any = false;
        let _ = self.path(path, at, &mut |_| {
            any = true;
            Flow::Break(())
        });
        any
    }

    /// The matches at a place, then those at everything below it.
    fn descend(&self, path: &Path, at: &Place<'_>, found: Found<'_>) -> Flow {
        self.path(path, at, found)?;
        if let Value::Array(items) = at.value {
            for (index, item) in items.iter().enumerate() {
                self.descend(path, &at.below(item, Step::Index(index)), found)?;
            }
        }
        if let Value::Object(members) = at.value {
            for (name, member) in members {
                self.descend(path, &at.below(member, Step::Field(name)), found)?;
            }
        }
        Flow::Continue(())
    }

    fn fields(&self, path: &Path, at: &Place<'_>, found: Found<'_>) -> Flow {
        let Value::Object(members) = at.value else { return Flow::Continue(()) };
        if let Path::Fields(names) = path {
            for name in names {
                if let Some(member) = members.get(name) {
                    found(&at.below(member, Step::Field(name)))?;
                }
            }
            return Flow::Continue(());
        }
        for (name, member) in members {
            self.charge(1)?;
            found(&at.below(member, Step::Field(name)))?;
        }
        Flow::Continue(())
    }

    fn items(&self, path: &Path, at: &Place<'_>, found: Found<'_>) -> Flow {
        let items: &[Value] = match (path, at.value) {
            (_, Value::Array(items)) => items,
            // An index into a text is one of its characters.
            (Path::Index(index), Value::String(text)) => {
                let place = usize::try_from(*index).ok().or_else(|| from_end(*index, text.chars().count()));
                let Some(c) = place.and_then(|place| text.chars().nth(place)) else {
                    return Flow::Continue(());
                };
                return found(&at.below(&c.to_string().into(), Step::None));
            }
            // What is no list is a list of itself for a slice, but not a float or null.
            (Path::Slice(..), Value::Object(_) | Value::String(_) | Value::Bool(_)) => {
                std::slice::from_ref(at.value)
            }
            (Path::Slice(..), Value::Number(number)) if !number.is_f64() => std::slice::from_ref(at.value),
            _ => return Flow::Continue(()),
        };
        let (start, end) = match path {
            Path::Index(index) => {
                let start = usize::try_from(*index).ok().or_else(|| from_end(*index, items.len()));
                let Some(start) = start else { return Flow::Continue(()) };
                (start, start.saturating_add(1))
            }
            Path::Slice(start, end) => (bound(*start, items.len(), 0), bound(*end, items.len(), items.len())),
            _ => (0, items.len()),
        };
        for (index, item) in items.iter().enumerate().take(end).skip(start) {
            self.charge(1)?;
            if let Path::Filter(conditions) = path
                && !conditions.iter().all(|condition| self.passes(condition, item))
            {
                continue;
            }
            found(&at.below(item, Step::Index(index)))?;
        }
        Flow::Continue(())
    }

    /// Conditions see the item alone, without what is above it.
    fn passes(&self, condition: &Condition, item: &Value) -> bool {
        let mut passed = false;
        let _ = self.path(&condition.target, &Place::top(item), &mut |place| {
            passed = condition.test.as_ref().is_none_or(|test| test.holds(place.value));
            if passed { Flow::Break(()) } else { Flow::Continue(()) }
        });
        passed
    }

    /// Paths whose matches are new values: they have no place above.
    fn made(&self, path: &Path, at: &Place<'_>, found: Found<'_>) -> Flow {
        let value = match (path, at.value) {
            (Path::Sort(keys), value) => {
                self.charge(size(value))?;
                self.sorted(value, keys)
            }
            (Path::Len, Value::String(text)) => Some(text.chars().count().into()),
            (Path::Len, Value::Array(items)) => Some(items.len().into()),
            (Path::Len, Value::Object(members)) => Some(members.len().into()),
            (Path::Split(separator, segment, cuts), Value::String(text)) => {
                operators::split(text, *separator, *segment, *cuts).map(Value::from)
            }
            (Path::Sub(regex, replacement), Value::String(text)) => {
                operators::substitute(text, regex, replacement).map(Value::from)
            }
            (Path::Arithmetic(left, sign, right), _) => {
                return self.arithmetic(at, left, *sign, right, found);
            }
            _ => None,
        };
        value.map_or(Flow::Continue(()), |value| found(&Place::top(&value)))
    }

    /// A list in order; of an object, without keys, its names in order.
    fn sorted(&self, value: &Value, keys: &[(Path, bool)]) -> Option<Value> {
        let by_value = |left: &Value, right: &Value| python::compare(left, right).map(Ordering::is_lt);
        match value {
            Value::Object(members) if keys.is_empty() => {
                let mut names: Vec<&String> = members.keys().collect();
                names.sort();
                Some(names.into_iter().map(String::as_str).collect())
            }
            Value::Array(items) => {
                let items: Vec<&Value> = items.iter().collect();
                let sorted = operators::merge_sort(&items, &mut |left, right| {
                    if keys.is_empty() { by_value(left, right) } else { self.is_before(left, right, keys) }
                });
                sorted.map(|items| items.into_iter().cloned().collect())
            }
            _ => None,
        }
    }

    /// Compares by the first key that both have once and that differs.
    fn is_before(&self, left: &Value, right: &Value, keys: &[(Path, bool)]) -> Option<bool> {
        for (key, descending) in keys {
            let (Some(left), Some(right)) = (self.only(key, left), self.only(key, right)) else { continue };
            if !python::equal(&left, &right) {
                return python::compare(&left, &right).map(|order| order.is_lt() != *descending);
            }
        }
        Some(false)
    }

    /// The value of a path that matches exactly once.
    fn only(&self, path: &Path, item: &Value) -> Option<Value> {
        let (mut first, mut count) = (None, 0);
        let _ = self.path(path, &Place::top(item), &mut |place| {
            count += 1;
            first.get_or_insert_with(|| place.value.clone());
            if count > 1 { Flow::Break(()) } else { Flow::Continue(()) }
        });
        first.filter(|_| count == 1)
    }

    /// Calculates match by match; one that cannot be calculated spoils all.
    fn arithmetic(
        &self,
        at: &Place<'_>,
        left: &Operand,
        sign: char,
        right: &Operand,
        found: Found<'_>,
    ) -> Flow {
        let (lefts, rights) = (self.operand(left, at)?, self.operand(right, at)?);
        let pairs: Vec<(&Value, &Value)> = match (left, right) {
            (Operand::Path(_), Operand::Path(_)) if lefts.len() != rights.len() => return Flow::Continue(()),
            (Operand::Constant(constant), _) => rights.iter().map(|right| (constant, right)).collect(),
            (_, Operand::Constant(constant)) => lefts.iter().map(|left| (left, constant)).collect(),
            _ => lefts.iter().zip(&rights).collect(),
        };
        let mut results = Vec::with_capacity(pairs.len());
        for (left, right) in pairs {
            let result = operators::calculate(left, sign, right, self.steps_left.get());
            let Some(result) = result else { return Flow::Continue(()) };
            self.charge(size(&result))?;
            results.push(result);
        }
        results.iter().try_for_each(|result| found(&Place::top(result)))
    }

    fn operand(&self, operand: &Operand, at: &Place<'_>) -> ControlFlow<(), Vec<Value>> {
        let path = match operand {
            Operand::Constant(constant) => return ControlFlow::Continue(vec![constant.clone()]),
            Operand::Path(path) => path,
        };
        let mut values = Vec::new();
        self.path(path, at, &mut |place| {
            self.charge(size(place.value))?;
            values.push(place.value.clone());
            Flow::Continue(())
        })?;
        ControlFlow::Continue(values)
    }
}

/// -1 is the last of so many.
fn from_end(index: i64, length: usize) -> Option<usize> {
    length.checked_sub(usize::try_from(index.unsigned_abs()).ok()?)
}

fn bound(index: Option<i64>, length: usize, absent: usize) -> usize {
    let Some(index) = index else { return absent };
    usize::try_from(index).unwrap_or_else(|_| from_end(index, length).unwrap_or(0))
}
