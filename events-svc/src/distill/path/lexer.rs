//! Cuts the text of a path into tokens.

use super::Grammar;
use super::operators::Comparison;

/// Longest path taken, in characters.
const MAX_PATH_CHARS: usize = 4096;

/// A token of either grammar.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A name, bare or quoted.
    Id(String),
    /// Digits with an optional minus sign directly before them.
    Int(i64),
    /// The same with a point.
    Float(f64),
    /// `true`, `false`
    Bool(bool),
    /// What stands between backquotes.
    Named(String),
    /// `where`
    Where,
    /// `..`
    DoubleDot,
    /// `=`, `~`, …
    Compare(Comparison),
    /// `/` (false) or `\` (true), with a comma before it or not
    Sort(bool),
    /// Any other sign of the language, as itself.
    Sign(char),
}

/// The tokens of a path.
///
/// # Errors
/// A character no token starts with, an unclosed quote, a number beyond 64 bits, an overlong text.
pub(super) fn tokens(text: &str, grammar: Grammar) -> Result<Vec<Token>, String> {
    if text.chars().nth(MAX_PATH_CHARS).is_some() {
        return Err(format!("longer than {MAX_PATH_CHARS} characters"));
    }
    let mut lexer = Lexer { rest: text, grammar };
    let mut tokens = Vec::new();
    while let Some(token) = lexer.token()? {
        tokens.push(token);
    }
    Ok(tokens)
}

struct Lexer<'a> {
    rest: &'a str,
    grammar: Grammar,
}

impl<'a> Lexer<'a> {
    fn token(&mut self) -> Result<Option<Token>, String> {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n']);
        let Some(first) = self.rest.chars().next() else { return Ok(None) };
        if let Some(direction) = self.sort_direction() {
            return Ok(Some(direction));
        }
        let word = self.word();
        if !word.is_empty() {
            return Ok(Some(self.classify(word)));
        }
        if let Some(number) = self.number()? {
            return Ok(Some(number));
        }
        if matches!(first, '\'' | '"' | '`') {
            let content = self.quoted(first)?;
            return Ok(Some(if first == '`' { Token::Named(content) } else { Token::Id(content) }));
        }
        self.sign(first).map(Some)
    }

    /// In the extended grammar `,` and blanks before a direction belong to it.
    fn sort_direction(&mut self) -> Option<Token> {
        if self.grammar == Grammar::Plain {
            return None;
        }
        let direction = self.rest.strip_prefix(',').unwrap_or(self.rest).trim_start();
        let descending = direction.starts_with('\\');
        self.rest = direction.strip_prefix(['/', '\\'])?;
        Some(Token::Sort(descending))
    }

    /// A bare name, or nothing. `@` may be within; at the start only in the plain grammar, or before a
    /// letter.
    fn word(&mut self) -> &'a str {
        let at = self.rest.starts_with('@') && self.grammar == Grammar::Extended;
        let letters = if at { self.rest.trim_start_matches('@') } else { self.rest };
        let first = letters.chars().next();
        let starts = first.is_some_and(|c| c.is_ascii_alphabetic() || c == '_' || c == '@');
        if !starts || self.rest.len() - letters.len() > 1 {
            return "";
        }
        let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '@' | '-');
        self.take(self.rest.find(|c| !inside(c)))
    }

    fn classify(&self, word: &str) -> Token {
        match (word, self.grammar) {
            ("where", _) => Token::Where,
            ("true", Grammar::Extended) => Token::Bool(true),
            ("false", Grammar::Extended) => Token::Bool(false),
            _ => Token::Id(word.to_owned()),
        }
    }

    fn number(&mut self) -> Result<Option<Token>, String> {
        let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let sign = usize::from(self.rest.starts_with('-'));
        let whole = digits(self.rest.get(sign..).unwrap_or_default());
        if whole == 0 {
            return Ok(None);
        }
        let end = sign + whole;
        let after_point = self.rest.get(end..).and_then(|rest| rest.strip_prefix('.')).map_or(0, digits);
        if self.grammar == Grammar::Extended && after_point > 0 {
            let text = self.take(Some(end + 1 + after_point));
            return Ok(text.parse().ok().map(Token::Float));
        }
        let text = self.take(Some(end));
        text.parse().map(|number| Some(Token::Int(number))).map_err(|error| format!("number {text}: {error}"))
    }

    /// The text up to the closing quote; a backslash makes the next character plain.
    fn quoted(&mut self, quote: char) -> Result<String, String> {
        let mut chars = self.rest.chars();
        chars.next();
        let mut content = String::new();
        while let Some(c) = chars.next() {
            match c {
                _ if c == quote => {
                    self.rest = chars.as_str();
                    return Ok(content);
                }
                '\\' => content.extend(chars.next()),
                _ => content.push(c),
            }
        }
        Err(format!("a {quote} is not closed"))
    }

    fn sign(&mut self, first: char) -> Result<Token, String> {
        if let Some(rest) = self.rest.strip_prefix("..") {
            self.rest = rest;
            return Ok(Token::DoubleDot);
        }
        let extended = self.grammar == Grammar::Extended;
        if let Some((comparison, rest)) = Comparison::read(self.rest).filter(|_| extended) {
            self.rest = rest;
            return Ok(Token::Compare(comparison));
        }
        match first {
            '*' | '.' | '[' | ']' | '(' | ')' | '$' | ',' | ':' | '|' | '&' => {}
            '?' | '@' | '+' | '-' if extended => {}
            _ => return Err(format!("unexpected character '{first}'")),
        }
        self.take(Some(first.len_utf8()));
        Ok(Token::Sign(first))
    }

    /// Cuts off the first `end` bytes, or everything.
    fn take(&mut self, end: Option<usize>) -> &'a str {
        let (taken, rest) =
            self.rest.split_at_checked(end.unwrap_or(self.rest.len())).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }
}
