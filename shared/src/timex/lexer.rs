//! Words of an expression.

use super::duration::Unit;
use super::{Operator, ParseError};

/// One word.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Number(u64),
    Unit(Unit),
    Name(String),
    To,
    Dollar,
    Open,
    Close,
    Operator(Operator),
}

impl Token {
    pub(super) fn number(&self) -> Option<u64> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }

    pub(super) fn unit(&self) -> Option<Unit> {
        if let Self::Unit(unit) = self { Some(*unit) } else { None }
    }

    pub(super) fn operator(&self) -> Option<Operator> {
        if let Self::Operator(operator) = self { Some(*operator) } else { None }
    }
}

/// Splits the text into words, each with the index of its first character.
pub(super) fn tokens(text: &str) -> Result<Vec<(Token, usize)>, ParseError> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().enumerate().peekable();
    while let Some((index, first)) = chars.next() {
        let token = match first {
            ' ' | '\t' | '\n' => continue,
            '$' => Token::Dollar,
            '(' => Token::Open,
            ')' => Token::Close,
            '+' => Token::Operator(Operator::Plus),
            '-' => Token::Operator(Operator::Minus),
            '@' => Token::Operator(Operator::Replace),
            '0'..='9' | 'a'..='z' | 'A'..='Z' | '_' => {
                let is_number = first.is_ascii_digit();
                let mut word = String::from(first);
                while let Some((_, next)) = chars.next_if(|(_, next)| {
                    next.is_ascii_digit() || !is_number && (next.is_ascii_alphabetic() || *next == '_')
                }) {
                    word.push(next);
                }
                if is_number { Token::Number(number(&word)) } else { name(word) }
            }
            other => return Err(ParseError::new(format!("unexpected character '{other}'"), index)),
        };
        tokens.push((token, index));
    }
    Ok(tokens)
}

/// The value of a run of digits; more than 64 bits hold is as good as the most they hold.
fn number(digits: &str) -> u64 {
    digits.parse().unwrap_or(u64::MAX)
}

fn name(word: String) -> Token {
    match word.as_str() {
        "to" => Token::To,
        "us" => Token::Unit(Unit::Microsecond),
        "s" | "sec" => Token::Unit(Unit::Second),
        "m" | "min" => Token::Unit(Unit::Minute),
        "h" | "hr" => Token::Unit(Unit::Hour),
        "d" => Token::Unit(Unit::Day),
        "mo" => Token::Unit(Unit::Month),
        "y" | "yr" => Token::Unit(Unit::Year),
        _ => Token::Name(word),
    }
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(_) => f.write_str("a number"),
            Self::Unit(_) => f.write_str("a unit"),
            Self::Name(name) => write!(f, "'{name}'"),
            Self::To => f.write_str("'to'"),
            Self::Dollar => f.write_str("'$'"),
            Self::Open => f.write_str("'('"),
            Self::Close => f.write_str("')'"),
            Self::Operator(Operator::Plus) => f.write_str("'+'"),
            Self::Operator(Operator::Minus) => f.write_str("'-'"),
            Self::Operator(Operator::Replace) => f.write_str("'@'"),
        }
    }
}
