//! Recursive descent over the words; only parentheses recurse, at most [`MAX_DEPTH`] deep.

use std::iter::Peekable;
use std::vec::IntoIter;

use super::duration::{Duration, Unit};
use super::lexer::{self, Token};
use super::{Form, MAX_DEPTH, MAX_LENGTH, ParseError, RangeForm, RangeSource, StampForm, Step};

/// Variable of a function without argument.
const DEFAULT_VARIABLE: &str = "timestamp";

/// Parses a whole text.
pub(super) fn parse(text: &str) -> Result<Form, ParseError> {
    if text.len() > MAX_LENGTH {
        return Err(ParseError::new(format!("time expression longer than {MAX_LENGTH} bytes"), MAX_LENGTH));
    }
    let mut parser =
        Parser { tokens: lexer::tokens(text)?.into_iter().peekable(), end: text.chars().count() };
    let form = parser.expression(0)?;
    match parser.tokens.next() {
        None => Ok(form),
        Some((token, index)) => Err(ParseError::new(format!("unexpected {token}"), index)),
    }
}

struct Parser {
    tokens: Peekable<IntoIter<(Token, usize)>>,
    /// Index behind the last character.
    end: usize,
}

impl Parser {
    /// `operand [ "to" stamp ]`.
    fn expression(&mut self, depth: usize) -> Result<Form, ParseError> {
        let operand = self.operand(depth)?;
        let Form::Stamp(begin) = operand else { return Ok(operand) };
        if self.tokens.next_if(|(token, _)| *token == Token::To).is_none() {
            return Ok(Form::Stamp(begin));
        }
        let end = self.stamp(depth)?;
        Ok(Form::Range(RangeForm { source: RangeSource::Between(begin, end), steps: Vec::new() }))
    }

    /// An operand that must be an instant.
    fn stamp(&mut self, depth: usize) -> Result<StampForm, ParseError> {
        let index = self.index();
        match self.operand(depth)? {
            Form::Stamp(stamp) => Ok(stamp),
            Form::Range(_) => Err(ParseError::new("an instant is needed here, found a range", index)),
        }
    }

    /// A primary with all operators behind it.
    fn operand(&mut self, depth: usize) -> Result<Form, ParseError> {
        let mut form = self.primary(depth)?;
        while let Some(operator) = self.next_of(Token::operator) {
            let index = self.index();
            let duration = self.duration()?;
            let steps = match &mut form {
                Form::Range(range) if range.steps.is_empty() || !duration.is_ambiguous() => &mut range.steps,
                Form::Stamp(stamp) if !duration.is_ambiguous() => &mut stamp.steps,
                Form::Range(_) | Form::Stamp(_) => {
                    return Err(ParseError::new("a number needs a unit here", index));
                }
            };
            steps.push(Step { operator, duration });
        }
        Ok(form)
    }

    /// `"$" NAME | "(" expression ")" | function`.
    fn primary(&mut self, depth: usize) -> Result<Form, ParseError> {
        match self.tokens.next() {
            Some((Token::Dollar, _)) => Ok(Form::Stamp(self.variable()?)),
            Some((Token::Open, index)) => {
                let inner = self.expression(deeper(depth, index)?)?;
                self.close()?;
                Ok(inner)
            }
            Some((Token::Name(name), index)) => self.function(&name, index, depth),
            other => Err(self.unexpected(other)),
        }
    }

    fn variable(&mut self) -> Result<StampForm, ParseError> {
        match self.tokens.next() {
            Some((Token::Name(variable), _)) => Ok(StampForm { variable, steps: Vec::new() }),
            other => Err(self.unexpected(other)),
        }
    }

    fn function(&mut self, name: &str, index: usize, depth: usize) -> Result<Form, ParseError> {
        let unit = match name {
            "hour" => Unit::Hour,
            "day" => Unit::Day,
            "month" => Unit::Month,
            "year" => Unit::Year,
            _ => return Err(ParseError::new(format!("unknown function '{name}'"), index)),
        };
        let argument = match self.tokens.next_if(|(token, _)| *token == Token::Open) {
            Some((_, index)) => {
                let argument = self.stamp(deeper(depth, index)?)?;
                self.close()?;
                argument
            }
            None => StampForm { variable: DEFAULT_VARIABLE.to_owned(), steps: Vec::new() },
        };
        Ok(Form::Range(RangeForm { source: RangeSource::Around(unit, argument), steps: Vec::new() }))
    }

    /// `(NUMBER [unit])+`.
    fn duration(&mut self) -> Result<Duration, ParseError> {
        let mut duration = match self.tokens.peek() {
            Some((Token::Number(_), _)) => Duration::default(),
            _ => {
                let next = self.tokens.next();
                return Err(self.unexpected(next));
            }
        };
        while let Some(amount) = self.next_of(Token::number) {
            let unit = self.next_of(Token::unit);
            duration.add(amount, unit);
        }
        Ok(duration)
    }

    fn close(&mut self) -> Result<(), ParseError> {
        match self.tokens.next() {
            Some((Token::Close, _)) => Ok(()),
            other => Err(self.unexpected(other)),
        }
    }

    /// What `reads` takes from the next word, which is then consumed.
    fn next_of<T>(&mut self, reads: fn(&Token) -> Option<T>) -> Option<T> {
        let found = self.tokens.peek().and_then(|(token, _)| reads(token));
        if found.is_some() {
            self.tokens.next();
        }
        found
    }

    /// Index of the next word.
    fn index(&mut self) -> usize {
        self.tokens.peek().map_or(self.end, |(_, index)| *index)
    }

    fn unexpected(&self, found: Option<(Token, usize)>) -> ParseError {
        match found {
            Some((token, index)) => ParseError::new(format!("unexpected {token}"), index),
            None => ParseError::new("unexpected end of the time expression", self.end),
        }
    }
}

fn deeper(depth: usize, index: usize) -> Result<usize, ParseError> {
    if depth < MAX_DEPTH {
        Ok(depth.saturating_add(1))
    } else {
        Err(ParseError::new(format!("parentheses deeper than {MAX_DEPTH}"), index))
    }
}
