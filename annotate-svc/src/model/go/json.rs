//! Finds the first JSON value of a body, with the words of Go's `encoding/json` for what is wrong with it.

use super::quote::quote_char;

/// Deepest nesting.
const MAX_DEPTH: usize = 10_000;

/// What is expected next.
#[derive(Clone, Copy)]
enum Next {
    Value,
    /// A value, or the end of the array.
    FirstElement,
    Key,
    /// A key, or the end of the object.
    FirstKey,
    /// Comma or end.
    After,
}

/// The text of the first value; what follows it is not looked at.
///
/// # Errors
/// Go's message.
pub(in crate::model) fn first_value(text: &str) -> Result<&str, String> {
    let mut cursor = Cursor { bytes: text.as_bytes(), at: 0 };
    cursor.skip_blanks();
    if cursor.peek().is_none() {
        return Err("EOF".to_owned());
    }
    let start = cursor.at;
    cursor.value()?;
    Ok(text.get(start..cursor.at).unwrap_or_default())
}

struct Cursor<'t> {
    bytes: &'t [u8],
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            self.at += 1;
        }
    }

    /// The fault of the byte that is next.
    fn fault<T>(&self, context: &str) -> Result<T, String> {
        match self.peek() {
            None => Err("unexpected EOF".to_owned()),
            // Go looks at bytes, so a letter beyond ASCII is shown as its first byte.
            Some(byte) => Err(format!("invalid character {} {context}", quote_char(char::from(byte)))),
        }
    }

    fn expect(&mut self, byte: u8, context: &str) -> Result<(), String> {
        if self.peek() != Some(byte) {
            return self.fault(context);
        }
        self.at += 1;
        Ok(())
    }

    fn value(&mut self) -> Result<(), String> {
        let mut open: Vec<u8> = Vec::new();
        let mut next = Next::Value;
        loop {
            self.skip_blanks();
            next = match (next, self.peek(), open.last()) {
                (Next::FirstElement, Some(b']'), _) | (Next::FirstKey, Some(b'}'), _) => {
                    self.at += 1;
                    open.pop();
                    Next::After
                }
                (Next::Value | Next::FirstElement, Some(bracket @ (b'{' | b'[')), _) => {
                    if open.len() >= MAX_DEPTH {
                        return self.fault("exceeded max depth");
                    }
                    self.at += 1;
                    open.push(bracket);
                    if bracket == b'{' { Next::FirstKey } else { Next::FirstElement }
                }
                (Next::Value | Next::FirstElement, _, _) => {
                    self.scalar()?;
                    Next::After
                }
                (Next::Key | Next::FirstKey, Some(b'"'), _) => {
                    self.string()?;
                    self.skip_blanks();
                    self.expect(b':', "after object key")?;
                    Next::Value
                }
                (Next::Key | Next::FirstKey, _, _) => {
                    return self.fault("looking for beginning of object key string");
                }
                (Next::After, _, None) => return Ok(()),
                (Next::After, Some(b','), Some(bracket)) => {
                    self.at += 1;
                    if *bracket == b'{' { Next::Key } else { Next::Value }
                }
                (Next::After, Some(b'}'), Some(b'{')) | (Next::After, Some(b']'), Some(b'[')) => {
                    self.at += 1;
                    open.pop();
                    Next::After
                }
                (Next::After, _, Some(b'{')) => return self.fault("after object key:value pair"),
                (Next::After, _, Some(_)) => return self.fault("after array element"),
            };
            // The value is complete: blanks behind it are not its own.
            if let (Next::After, true) = (next, open.is_empty()) {
                return Ok(());
            }
        }
    }

    fn scalar(&mut self) -> Result<(), String> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => self.fault("looking for beginning of value"),
        }
    }

    fn literal(&mut self, word: &str) -> Result<(), String> {
        for expected in word.bytes() {
            let context = format!("in literal {word} (expecting {})", quote_char(char::from(expected)));
            self.expect(expected, &context)?;
        }
        Ok(())
    }

    fn string(&mut self) -> Result<(), String> {
        self.at += 1;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    self.at += 1;
                    self.escape()?;
                }
                None | Some(0..0x20) => return self.fault("in string literal"),
                Some(_) => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Result<(), String> {
        match self.peek() {
            Some(b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"') => {
                self.at += 1;
                Ok(())
            }
            Some(b'u') => {
                self.at += 1;
                for _ in 0..4 {
                    if !self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                        return self.fault("in \\u hexadecimal character escape");
                    }
                    self.at += 1;
                }
                Ok(())
            }
            _ => self.fault("in string escape code"),
        }
    }

    fn number(&mut self) -> Result<(), String> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits("in numeric literal")?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits("after decimal point in numeric literal")?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits("in exponent of numeric literal")?;
        }
        Ok(())
    }

    fn digits(&mut self, context: &str) -> Result<(), String> {
        if !self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return self.fault(context);
        }
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        Ok(())
    }
}
