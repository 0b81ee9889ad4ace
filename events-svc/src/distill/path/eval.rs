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

/// Most steps within one another; each takes stack. A path of 256 steps needs 512, a `..` one for each level of
/// the document.
const MAX_DEPTH: usize = 1200;

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
    /// As it is written in the path, or from the start.
    Index(i64),
}

impl Step<'_> {
    fn of(index: usize) -> Self {
        Self::Index(i64::try_from(index).unwrap_or(i64::MAX))
    }
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
    let walk = Walk { steps_left: Cell::new(MAX_STEPS), depth: Cell::new(0) };
    // A broken walk is one that found enough, or one that ran out of steps.
    let _ = walk.path(path, &Place::top(document), found);
    if walk.steps_left.get() == 0 { Err(TooManySteps) } else { Ok(()) }
}

struct Walk {
    steps_left: Cell<usize>,
    depth: Cell<usize>,
}

impl Walk {
    fn charge(&self, steps: usize) -> Flow {
        self.steps_left.set(self.steps_left.get().saturating_sub(steps));
        if self.steps_left.get() == 0 { Flow::Break(()) } else { Flow::Continue(()) }
    }

    fn path(&self, path: &Path, at: &Place<'_>, found: Found<'_>) -> Flow {
        let deeper = self.depth.get() + 1;
        self.charge(if deeper > MAX_DEPTH { usize::MAX } else { 1 })?;
        self.depth.set(deeper);
        let flow = self.step(path, at, found);
        self.depth.set(deeper - 1);
        flow
    }

    fn step(&self, path: &Path, at: &Place<'_>, found: Found<'_>) -> Flow {
        match path {
            Path::This => found(at),
            Path::Root => {
                let mut top = at;
                while let Some(above) = top.above {
                    top = above;
                }
                found(top)
            }
            // Quirk: above the document there is a null.
            Path::Parent => found(at.above.unwrap_or(&Place::top(&Value::Null))),
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
            Path::Fields(names) => self.fields(names, at, found),
            Path::AnyField => self.members(at, found),
            Path::Index(index) => self.index(*index, at, found),
            Path::Slice(start, end) => self.slice(*start, *end, at, found),
            Path::Filter(conditions) => self.filter(conditions, at, found),
            Path::Sort(keys) => self.sort(keys, at, found),
            Path::Len => made(length(at.value), found),
            Path::Split(separator, segment, cuts) => {
                let text = at.value.as_str();
                made(text.and_then(|text| operators::split(text, *separator, *segment, *cuts)), found)
            }
            Path::Sub(regex, replacement) => {
                let text = at.value.as_str();
                made(text.and_then(|text| operators::substitute(text, regex, replacement)), found)
            }
            Path::Arithmetic(left, sign, right) => self.arithmetic(at, left, *sign, right, found),
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
        let deeper = self.depth.get() + 1;
        self.depth.set(deeper);
        let flow = self.descend_below(path, at, found);
        self.depth.set(deeper - 1);
        flow
    }

    fn descend_below(&self, path: &Path, at: &Place<'_>, found: Found<'_>) -> Flow {
        if let Value::Array(items) = at.value {
            for (index, item) in items.iter().enumerate() {
                self.descend(path, &at.below(item, Step::of(index)), found)?;
            }
        }
        if let Value::Object(members) = at.value {
            for (name, member) in members {
                self.descend(path, &at.below(member, Step::Field(name)), found)?;
            }
        }
        Flow::Continue(())
    }

    fn fields(&self, names: &[String], at: &Place<'_>, found: Found<'_>) -> Flow {
        let Value::Object(members) = at.value else { return Flow::Continue(()) };
        for name in names {
            if let Some(member) = members.get(name) {
                found(&at.below(member, Step::Field(name)))?;
            }
        }
        Flow::Continue(())
    }

    fn members(&self, at: &Place<'_>, found: Found<'_>) -> Flow {
        let Value::Object(members) = at.value else { return Flow::Continue(()) };
        for (name, member) in members {
            self.charge(1)?;
            found(&at.below(member, Step::Field(name)))?;
        }
        Flow::Continue(())
    }

    /// An item of a list; of a text, one of its characters.
    fn index(&self, index: i64, at: &Place<'_>, found: Found<'_>) -> Flow {
        if let Value::Array(items) = at.value {
            let item = position(index, items.len()).and_then(|place| items.get(place));
            return item.map_or(Flow::Continue(()), |item| found(&at.below(item, Step::Index(index))));
        }
        let character = at.value.as_str().and_then(|text| {
            let length = if index < 0 { text.chars().count() } else { 0 };
            text.chars().nth(position(index, length)?)
        });
        character.map_or(Flow::Continue(()), |c| found(&at.below(&c.to_string().into(), Step::Index(index))))
    }

    /// A part of a list. What is no list is a list of itself here; but not a float or null.
    fn slice(&self, start: Option<i64>, end: Option<i64>, at: &Place<'_>, found: Found<'_>) -> Flow {
        let Value::Array(items) = at.value else {
            if at.value.is_null() || at.value.is_f64() {
                return Flow::Continue(());
            }
            self.charge(size(at.value))?;
            let list = Value::Array(vec![at.value.clone()]);
            return self.slice(start, end, &Place { value: &list, above: at.above, step: at.step }, found);
        };
        let (start, end) = (bound(start, items.len(), 0), bound(end, items.len(), items.len()));
        for (index, item) in items.iter().enumerate().take(end).skip(start) {
            self.charge(1)?;
            found(&at.below(item, Step::of(index)))?;
        }
        Flow::Continue(())
    }

    fn filter(&self, conditions: &[Condition], at: &Place<'_>, found: Found<'_>) -> Flow {
        let Value::Array(items) = at.value else { return Flow::Continue(()) };
        for (index, item) in items.iter().enumerate() {
            self.charge(1)?;
            if conditions.iter().all(|condition| self.passes(condition, item)) {
                found(&at.below(item, Step::of(index)))?;
            }
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

    /// A list in order; of an object, without keys, its names in order. What else there is stays as it is.
    fn sort(&self, keys: &[(Path, bool)], at: &Place<'_>, found: Found<'_>) -> Flow {
        if let Value::Object(members) = at.value
            && keys.is_empty()
        {
            let mut names: Vec<&str> = members.keys().map(String::as_str).collect();
            names.sort_unstable();
            return made(Some(names), found);
        }
        let Value::Array(items) = at.value else { return found(at) };
        self.charge(size(at.value))?;
        let items: Vec<&Value> = items.iter().collect();
        let sorted = operators::merge_sort(&items, &mut |left, right| self.is_before(left, right, keys));
        made(sorted.map(|items| items.into_iter().cloned().collect::<Vec<_>>()), found)
    }

    /// Compares by the first key that both have once and that differs; without keys, the values themselves.
    fn is_before(&self, left: &Value, right: &Value, keys: &[(Path, bool)]) -> Option<bool> {
        if keys.is_empty() {
            return python::compare(left, right).map(Ordering::is_lt);
        }
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

/// Hands over a value that an operator made; it has no place above.
fn made<T>(value: Option<T>, found: Found<'_>) -> Flow
where
    Value: From<T>,
{
    value.map_or(Flow::Continue(()), |value| found(&Place::top(&Value::from(value))))
}

fn length(value: &Value) -> Option<usize> {
    match value {
        Value::String(text) => Some(text.chars().count()),
        Value::Array(items) => Some(items.len()),
        Value::Object(members) => Some(members.len()),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// The place of an index in so many; -1 is the last.
fn position(index: i64, length: usize) -> Option<usize> {
    let distance = usize::try_from(index.unsigned_abs()).ok()?;
    if index < 0 { length.checked_sub(distance) } else { Some(distance) }
}

/// The place of one end of a slice.
fn bound(index: Option<i64>, length: usize, absent: usize) -> usize {
    index.map_or(absent, |index| position(index, length).unwrap_or(0))
}
