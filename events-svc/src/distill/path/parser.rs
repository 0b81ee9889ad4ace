//! From tokens to a [`Path`].
//!
//! Binary operators, weakest first, all left-associative: `..`, `.`, `|`, `where`. So `a.b|c` is `b` or `c`
//! of `a`. A bracket belongs to everything before it up to the enclosing parenthesis. The signs `+ - *` are
//! weaker than all of these, equal among themselves and right-associative: `10 - 3 - 2` is 9.

#![expect(clippy::wildcard_enum_match_arm, reason = "every token that is not asked for is treated alike")]

use super::lexer::{Token, tokens};
use super::operators::{self, Test};
use super::{Condition, Grammar, Operand, Path};

/// Most steps of one path; each takes some stack when it is walked.
const MAX_STEPS: usize = 256;
/// Most parentheses and brackets in one another.
const MAX_DEPTH: usize = 32;

/// Parses a whole path; see [`Path::parse`].
pub(super) fn parse(text: &str, grammar: Grammar) -> Result<Path, String> {
    let tokens = tokens(text, grammar)?;
    let mut parser = Parser { tokens: &tokens, grammar, steps: 0, depth: 0 };
    let path = parser.path(Strength::Any)?;
    match parser.tokens.first() {
        None => Ok(path),
        Some(Token::Sign('&')) => Err("'&' between paths is not defined".to_owned()),
        Some(token) => Err(format!("unexpected {}", name(token))),
    }
}

/// How strongly an operator holds its sides; see the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Strength {
    Any,
    Descendants,
    Child,
    Union,
    Where,
    Atom,
}

impl Strength {
    fn of(token: &Token) -> Option<Self> {
        match token {
            Token::DoubleDot => Some(Self::Descendants),
            Token::Sign('.') => Some(Self::Child),
            Token::Sign('|') => Some(Self::Union),
            Token::Where => Some(Self::Where),
            _ => None,
        }
    }

    fn next(self) -> Self {
        match self {
            Self::Any => Self::Descendants,
            Self::Descendants => Self::Child,
            Self::Child => Self::Union,
            Self::Union => Self::Where,
            Self::Where | Self::Atom => Self::Atom,
        }
    }
}

struct Parser<'t> {
    tokens: &'t [Token],
    grammar: Grammar,
    steps: usize,
    depth: usize,
}

impl<'t> Parser<'t> {
    fn path(&mut self, weakest: Strength) -> Result<Path, String> {
        let left = match self.tokens.first() {
            Some(Token::Int(_) | Token::Float(_)) => self.arithmetic_from_number()?,
            _ => self.atom()?,
        };
        self.continued(left, weakest)
    }

    /// Goes on after `left` with all operators at least as strong as `weakest`.
    fn continued(&mut self, mut left: Path, weakest: Strength) -> Result<Path, String> {
        while let Some(token) = self.tokens.first() {
            if let Some(strength) = Strength::of(token).filter(|strength| *strength >= weakest) {
                self.advance();
                let right = self.path(strength.next())?;
                left = binary(strength, left, right);
            } else if *token == Token::Sign('[') && weakest == Strength::Any {
                left = Path::Child(Box::new(left), Box::new(self.bracket()?));
            } else if let Some(operator) = self.operator().filter(|_| weakest == Strength::Any) {
                left = self.arithmetic(operand(left), operator)?;
            } else {
                break;
            }
        }
        Ok(left)
    }

    fn atom(&mut self) -> Result<Path, String> {
        self.count_step()?;
        let Some(token) = self.tokens.first() else { return Err("ends too early".to_owned()) };
        match token {
            Token::Id(_) => return self.fields(),
            Token::Sign('[') => return self.bracket(),
            Token::Sign('(') => {
                self.advance();
                let inner = self.nested(|parser| parser.path(Strength::Any))?;
                return self.expect(')').map(|()| inner);
            }
            _ => self.advance(),
        }
        match token {
            Token::Named(name) => self.named(name),
            // Such a name cannot be written bare in the original; it is clear enough.
            Token::Bool(truth) => Ok(Path::Fields(vec![truth.to_string()])),
            Token::Sign('$') => Ok(Path::Root),
            Token::Sign('@') => Ok(Path::This),
            Token::Sign('*') => Ok(Path::AnyField),
            _ => Err(format!("unexpected {}", name(token))),
        }
    }

    fn fields(&mut self) -> Result<Path, String> {
        let mut names = Vec::new();
        while let Some(Token::Id(name)) = self.tokens.first() {
            self.advance();
            names.push(name.clone());
            if self.tokens.first() != Some(&Token::Sign(',')) {
                // Quirk: a quoted star is a star, and one among names stands for all.
                let any = names.iter().any(|name| name == "*");
                return Ok(if any { Path::AnyField } else { Path::Fields(names) });
            }
            self.advance();
        }
        Err("a name is expected after ','".to_owned())
    }

    fn named(&self, name: &str) -> Result<Path, String> {
        match (name, self.grammar) {
            ("this", _) => Ok(Path::This),
            ("parent", _) => Ok(Path::Parent),
            ("len", Grammar::Extended) => Ok(Path::Len),
            ("sorted", Grammar::Extended) => Ok(Path::Sort(Vec::new())),
            (call, Grammar::Extended) if call.starts_with("split(") => operators::parse_split(call),
            (call, Grammar::Extended) if call.starts_with("sub(") => operators::parse_sub(call),
            _ => Err(format!("unknown named operator `{name}`")),
        }
    }

    fn bracket(&mut self) -> Result<Path, String> {
        self.expect('[')?;
        self.count_step()?;
        let inner = match self.tokens {
            [Token::Sign('*'), ..] => {
                self.advance();
                Path::Slice(None, None)
            }
            [Token::Id(_), ..] => self.fields()?,
            [Token::Sign('?'), ..] => {
                self.advance();
                Path::Filter(self.nested(Self::conditions)?)
            }
            [Token::Sort(_), ..] => self.nested(Self::sort)?,
            _ => self.index_or_slice()?,
        };
        self.expect(']').map(|()| inner)
    }

    fn index_or_slice(&mut self) -> Result<Path, String> {
        let start = self.int();
        match (start, self.tokens.first()) {
            (_, Some(Token::Sign(':'))) => {
                self.advance();
                Ok(Path::Slice(start, self.int()))
            }
            (Some(index), _) => Ok(Path::Index(index)),
            (None, _) => Err("a name, an index or a slice is expected after '['".to_owned()),
        }
    }

    fn int(&mut self) -> Option<i64> {
        let Some(Token::Int(number)) = self.tokens.first() else { return None };
        self.advance();
        Some(*number)
    }

    fn sort(&mut self) -> Result<Path, String> {
        let mut keys = Vec::new();
        while let Some(Token::Sort(descending)) = self.tokens.first() {
            self.advance();
            keys.push((self.path(Strength::Any)?, *descending));
        }
        Ok(Path::Sort(keys))
    }

    fn conditions(&mut self) -> Result<Vec<Condition>, String> {
        let mut conditions = self.condition_group()?;
        while self.tokens.first() == Some(&Token::Sign('&')) {
            self.advance();
            conditions.append(&mut self.condition_group()?);
        }
        Ok(conditions)
    }

    /// One condition, or several in parentheses. A parenthesis may also open the path of one condition,
    /// which shows only after it: `(a)=1`.
    fn condition_group(&mut self) -> Result<Vec<Condition>, String> {
        if self.tokens.first() != Some(&Token::Sign('(')) {
            let target = self.path(Strength::Any)?;
            return Ok(vec![self.tested(target)?]);
        }
        self.advance();
        let mut inner = self.nested(Self::conditions)?;
        self.expect(')')?;
        if matches!(self.tokens.first(), None | Some(Token::Sign('&' | ')' | ']'))) {
            return Ok(inner);
        }
        match (inner.pop(), inner.is_empty()) {
            (Some(Condition { target, test: None }), true) => {
                let target = self.continued(target, Strength::Any)?;
                Ok(vec![self.tested(target)?])
            }
            _ => Err("'&', ')' or ']' is expected after conditions".to_owned()),
        }
    }

    fn tested(&mut self, target: Path) -> Result<Condition, String> {
        let Some(Token::Compare(comparison)) = self.tokens.first() else {
            return Ok(Condition { target, test: None });
        };
        self.advance();
        let Some(token) = self.tokens.first() else { return Err("ends after a comparison".to_owned()) };
        self.advance();
        let test = match token {
            Token::Id(text) => Test::text(*comparison, text)?,
            Token::Int(number) => Test::integer(*comparison, *number),
            Token::Bool(truth) => Test::integer(*comparison, i64::from(*truth)),
            Token::Float(number) => Test::float(*comparison, *number),
            _ => return Err(format!("a name, number or boolean is expected, not {}", name(token))),
        };
        Ok(Condition { target, test: Some(test) })
    }

    fn arithmetic_from_number(&mut self) -> Result<Path, String> {
        let left = self.number_operand().ok_or("a number is expected")?;
        let operator = self.operator().ok_or("a lone number is no path")?;
        self.arithmetic(left, operator)
    }

    /// Takes the operator and everything right of it.
    fn arithmetic(&mut self, left: Operand, operator: char) -> Result<Path, String> {
        self.advance();
        let lone_number = matches!(self.tokens.first(), Some(Token::Int(_) | Token::Float(_)))
            && !matches!(self.tokens.get(1), Some(Token::Sign('+' | '-' | '*')));
        let right = if lone_number {
            self.number_operand().ok_or("a number is expected")?
        } else {
            operand(self.nested(|parser| parser.path(Strength::Any))?)
        };
        Ok(Path::Arithmetic(left, operator, right))
    }

    fn number_operand(&mut self) -> Option<Operand> {
        let constant = match self.tokens.first()? {
            Token::Int(number) => (*number).into(),
            Token::Float(number) => (*number).into(),
            _ => return None,
        };
        self.advance();
        Some(Operand::Constant(constant))
    }

    /// The arithmetic sign that comes next, if one does.
    fn operator(&self) -> Option<char> {
        match self.tokens.first()? {
            Token::Sign(sign @ ('+' | '-' | '*')) if self.grammar == Grammar::Extended => Some(*sign),
            _ => None,
        }
    }

    fn count_step(&mut self) -> Result<(), String> {
        self.steps += 1;
        if self.steps > MAX_STEPS { Err(format!("more than {MAX_STEPS} steps")) } else { Ok(()) }
    }

    fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, String>) -> Result<T, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("nested deeper than {MAX_DEPTH} levels"));
        }
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn expect(&mut self, sign: char) -> Result<(), String> {
        match self.tokens.first() {
            Some(Token::Sign(found)) if *found == sign => {
                self.advance();
                Ok(())
            }
            Some(token) => Err(format!("'{sign}' is expected, not {}", name(token))),
            None => Err(format!("'{sign}' is missing at the end")),
        }
    }

    fn advance(&mut self) {
        self.tokens = self.tokens.get(1..).unwrap_or_default();
    }
}

fn binary(strength: Strength, left: Path, right: Path) -> Path {
    let (left, right) = (Box::new(left), Box::new(right));
    match strength {
        Strength::Descendants => Path::Descendants(left, right),
        Strength::Union => Path::Union(left, right),
        Strength::Where => Path::Where(left, right),
        Strength::Any | Strength::Child | Strength::Atom => Path::Child(left, right),
    }
}

/// Quirk: a lone name is text here, not a field; `$.name` is the field.
fn operand(path: Path) -> Operand {
    match path {
        Path::Fields(names) if names.len() == 1 => {
            Operand::Constant(names.into_iter().collect::<String>().into())
        }
        Path::AnyField => Operand::Constant("*".into()),
        path => Operand::Path(Box::new(path)),
    }
}

fn name(token: &Token) -> String {
    match token {
        Token::Id(text) => format!("'{text}'"),
        Token::Int(number) => format!("'{number}'"),
        Token::Float(number) => format!("'{number}'"),
        Token::Bool(truth) => format!("'{truth}'"),
        Token::Named(text) => format!("`{text}`"),
        Token::Where => "'where'".to_owned(),
        Token::DoubleDot => "'..'".to_owned(),
        Token::Compare(comparison) => format!("'{}'", comparison.sign()),
        Token::Sort(descending) => if *descending { "'\\'" } else { "'/'" }.to_owned(),
        Token::Sign(sign) => format!("'{sign}'"),
    }
}
