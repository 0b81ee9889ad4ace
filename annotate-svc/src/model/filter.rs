//! The filter language of Bosun's expression functions (annotate.md, section 10): `owner:sre AND ! user:empty`.
//!
//! ```text
//! any  = all { "OR" all }
//! all  = one { "AND" one }
//! one  = "!" one | "(" any ")" | keyword ":" value
//! ```
//! A value is a glob with `*`, in any letter case, up to the next blank or bracket, or between double quotes. The
//! word `empty` stands for the empty field.

use super::annotation::{Field, Texts};

/// Longest filter taken, in bytes.
const MAX_BYTES: usize = 10_000;

/// Deepest nesting of brackets and negations.
const MAX_DEPTH: usize = 64;

/// Why a filter is refused. The first two texts are the original's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// A word without a colon.
    #[error("bad filter, filter must be in k:v format, got {0}")]
    NoColon(String),
    /// Nobody knows the word before the colon.
    #[error("invalid keyword: {0}")]
    Keyword(String),
    /// Brackets and words do not fit together.
    #[error("failed to parse annotation filter: unexpected {0}")]
    Unexpected(String),
    /// Larger than any person writes.
    #[error("failed to parse annotation filter: it is too long or nested too deeply")]
    TooLarge,
}

/// A filter, ready to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter(Node);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Term { field: Field, glob: Glob },
    Not(Box<Node>),
    All(Vec<Node>),
    Any(Vec<Node>),
}

/// A glob in lower case: the texts between its stars.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Glob {
    first: String,
    /// The texts after each star.
    rest: Vec<String>,
}

impl Filter {
    /// Reads a filter; blank means everything.
    ///
    /// # Errors
    /// [`FilterError`].
    pub fn parse(text: &str) -> Result<Option<Self>, FilterError> {
        if text.len() > MAX_BYTES {
            return Err(FilterError::TooLarge);
        }
        let mut parser = Parser { tokens: tokens(text), place: 0 };
        if parser.tokens.is_empty() {
            return Ok(None);
        }
        let node = parser.any(0)?;
        match parser.next() {
            None => Ok(Some(Self(node))),
            Some(token) => Err(FilterError::Unexpected(token.shown())),
        }
    }

    /// Whether an annotation with these texts meets it.
    #[must_use]
    pub fn matches(&self, texts: &Texts) -> bool {
        self.0.matches(texts)
    }

    /// Conditions without a star that must hold: the field, and its value in lower case.
    #[must_use]
    pub fn exact(&self) -> Vec<(Field, &str)> {
        let nodes = match &self.0 {
            Node::All(nodes) => nodes.as_slice(),
            one @ (Node::Term { .. } | Node::Not(_) | Node::Any(_)) => std::slice::from_ref(one),
        };
        let exact = |node| match node {
            &Node::Term { field, ref glob } if glob.rest.is_empty() => Some((field, glob.first.as_str())),
            Node::Term { .. } | Node::Not(_) | Node::All(_) | Node::Any(_) => None,
        };
        nodes.iter().filter_map(exact).collect()
    }
}

impl Node {
    fn matches(&self, texts: &Texts) -> bool {
        match self {
            Self::Term { field, glob } => glob.matches(texts.get(*field)),
            Self::Not(node) => !node.matches(texts),
            Self::All(nodes) => nodes.iter().all(|node| node.matches(texts)),
            Self::Any(nodes) => nodes.iter().any(|node| node.matches(texts)),
        }
    }
}

impl Glob {
    fn new(value: &str) -> Self {
        let value = value.to_lowercase();
        let mut parts = value.split('*').map(str::to_owned);
        Self { first: parts.next().unwrap_or_default(), rest: parts.collect() }
    }

    fn matches(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        let Some((last, middle)) = self.rest.split_last() else {
            return text == self.first || (text.is_empty() && self.first == "empty");
        };
        let Some(mut text) = text.strip_prefix(self.first.as_str()) else { return false };
        for part in middle {
            let Some((_, after)) = text.split_once(part.as_str()) else { return false };
            text = after;
        }
        text.ends_with(last.as_str())
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    And,
    Or,
    Not,
    Open,
    Close,
    Ask(String),
}

impl Token {
    fn shown(&self) -> String {
        match self {
            Self::And => "AND".to_owned(),
            Self::Or => "OR".to_owned(),
            Self::Not => "!".to_owned(),
            Self::Open => "(".to_owned(),
            Self::Close => ")".to_owned(),
            Self::Ask(text) => text.clone(),
        }
    }
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let sign = match first {
            '(' => Some(Token::Open),
            ')' => Some(Token::Close),
            '!' => Some(Token::Not),
            _ => None,
        };
        let length = if sign.is_some() { 1 } else { word_length(rest) };
        let (word, after) = rest.split_at(length);
        tokens.push(match (sign, word) {
            (Some(sign), _) => sign,
            (None, "AND") => Token::And,
            (None, "OR") => Token::Or,
            (None, word) => Token::Ask(unquoted(word)),
        });
        rest = after.trim_start();
    }
    tokens
}

/// Bytes up to the next blank or bracket outside double quotes.
fn word_length(text: &str) -> usize {
    let mut is_quoted = false;
    let ends = |c: char| {
        is_quoted ^= c == '"';
        !is_quoted && (c.is_whitespace() || c == '(' || c == ')')
    };
    text.find(ends).unwrap_or(text.len())
}

/// `key:"value"` without its quotes; quotes elsewhere stay.
fn unquoted(word: &str) -> String {
    let inside = word.split_once(":\"").and_then(|(key, value)| Some((key, value.strip_suffix('"')?)));
    inside.map_or_else(|| word.to_owned(), |(key, value)| format!("{key}:{value}"))
}

struct Parser {
    tokens: Vec<Token>,
    place: usize,
}

impl Parser {
    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.place).cloned();
        self.place += 1;
        token
    }

    fn takes(&mut self, wanted: &Token) -> bool {
        let is_next = self.tokens.get(self.place) == Some(wanted);
        self.place += usize::from(is_next);
        is_next
    }

    fn any(&mut self, depth: usize) -> Result<Node, FilterError> {
        let mut nodes = vec![self.all(depth)?];
        while self.takes(&Token::Or) {
            nodes.push(self.all(depth)?);
        }
        Ok(single_or(nodes, Node::Any))
    }

    fn all(&mut self, depth: usize) -> Result<Node, FilterError> {
        let mut nodes = vec![self.one(depth)?];
        while self.takes(&Token::And) {
            nodes.push(self.one(depth)?);
        }
        Ok(single_or(nodes, Node::All))
    }

    fn one(&mut self, depth: usize) -> Result<Node, FilterError> {
        if depth > MAX_DEPTH {
            return Err(FilterError::TooLarge);
        }
        match self.next() {
            Some(Token::Not) => Ok(Node::Not(Box::new(self.one(depth + 1)?))),
            Some(Token::Open) => {
                let node = self.any(depth + 1)?;
                match self.next() {
                    Some(Token::Close) => Ok(node),
                    other => Err(unexpected(other.as_ref())),
                }
            }
            Some(Token::Ask(text)) => ask(&text),
            other => Err(unexpected(other.as_ref())),
        }
    }
}

fn unexpected(token: Option<&Token>) -> FilterError {
    FilterError::Unexpected(token.map_or_else(|| "end".to_owned(), Token::shown))
}

fn single_or(mut nodes: Vec<Node>, many: impl FnOnce(Vec<Node>) -> Node) -> Node {
    match (nodes.pop(), nodes.is_empty()) {
        (Some(only), true) => only,
        (last, _) => {
            nodes.extend(last);
            many(nodes)
        }
    }
}

fn ask(text: &str) -> Result<Node, FilterError> {
    let (keyword, value) = text.split_once(':').ok_or_else(|| FilterError::NoColon(text.to_owned()))?;
    let field = match keyword {
        "owner" => Field::Owner,
        "user" => Field::CreationUser,
        "host" => Field::Host,
        "category" => Field::Category,
        "url" => Field::Url,
        "message" => Field::Message,
        other => return Err(FilterError::Keyword(other.to_owned())),
    };
    Ok(Node::Term { field, glob: Glob::new(value) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(owner: &str, user: &str, message: &str) -> Texts {
        let mut texts = Texts::default();
        texts.set(Field::Owner, owner.to_owned());
        texts.set(Field::CreationUser, user.to_owned());
        texts.set(Field::Message, message.to_owned());
        texts
    }

    fn matches(filter: &str, texts: &Texts) -> bool {
        Filter::parse(filter).unwrap().is_none_or(|filter| filter.matches(texts))
    }

    #[test]
    fn operators_bind_as_expected() {
        let ada = texts("sre", "ada", "");
        let machine = texts("SRE", "", "");
        for (filter, is_ada, is_machine) in [
            ("owner:sre AND ! user:empty", true, false),
            ("owner:sre AND !user:empty", true, false),
            ("user:empty", false, true),
            ("! owner:sre OR user:ada", true, false),
            // AND binds closer than OR, ! closer than both.
            ("user:ada OR owner:x AND owner:y", true, false),
            ("(user:ada OR owner:x) AND owner:y", false, false),
            ("!(user:ada OR owner:x)", false, true),
            ("!!user:ada", true, false),
            ("  ", true, true),
        ] {
            assert_eq!((matches(filter, &ada), matches(filter, &machine)), (is_ada, is_machine), "{filter}");
        }
    }

    #[test]
    fn globs_ignore_case_and_stars_stand_for_anything() {
        let one = texts("Web-SRE", "", "Deploy of (shop) 1.2");
        for (filter, expected) in [
            ("owner:web-sre", true),
            ("owner:web", false),
            ("owner:web*", true),
            ("owner:*sre", true),
            ("owner:*b-s*", true),
            ("owner:w*b*e", true),
            ("owner:w*e*b", false),
            // The first and the last part may not overlap.
            ("owner:web-s*-sre", false),
            ("owner:*", true),
            ("user:*", true),
            ("user:", true),
            ("message:\"deploy of (shop)*\"", true),
            ("(message:\"* of *\")", true),
        ] {
            assert_eq!(matches(filter, &one), expected, "{filter}");
        }
        // The word stands for the field without a value, and for itself.
        assert!(matches("owner:empty", &texts("Empty", "", "")));
    }

    #[test]
    fn wrong_filters_answer_the_original_texts() {
        for (filter, expected) in [
            ("sre", "bad filter, filter must be in k:v format, got sre"),
            ("owner:sre AND x", "bad filter, filter must be in k:v format, got x"),
            ("foo:bar", "invalid keyword: foo"),
            ("Owner:sre", "invalid keyword: Owner"),
            ("owner:a owner:b", "failed to parse annotation filter: unexpected owner:b"),
            ("(owner:a", "failed to parse annotation filter: unexpected end"),
            ("owner:a)", "failed to parse annotation filter: unexpected )"),
            ("AND", "failed to parse annotation filter: unexpected AND"),
            ("!", "failed to parse annotation filter: unexpected end"),
        ] {
            assert_eq!(Filter::parse(filter).unwrap_err().to_string(), expected, "{filter}");
        }
        assert_eq!(Filter::parse(&"!".repeat(5000)), Err(FilterError::TooLarge));
        assert_eq!(Filter::parse(&"(".repeat(5000)), Err(FilterError::TooLarge));
        assert_eq!(Filter::parse(&"x".repeat(10_001)), Err(FilterError::TooLarge));
    }

    /// A random filter as text, and what it must say about an annotation, found another way.
    fn filters() -> impl Strategy<Value = (String, bool)> {
        let owner = "Sre Team";
        let leaf = prop_oneof![
            Just(("owner:\"sre team\"".to_owned(), true)),
            Just(("owner:sre*".to_owned(), true)),
            Just(("owner:x".to_owned(), false)),
            Just(("user:empty".to_owned(), true)),
            Just(("host:*a*".to_owned(), owner.is_empty())),
        ];
        leaf.prop_recursive(6, 40, 3, |inner| {
            prop_oneof![
                inner.clone().prop_map(|(text, is)| (format!("!({text})"), !is)),
                prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| {
                    let texts: Vec<String> = parts.iter().map(|(text, _)| format!("({text})")).collect();
                    (texts.join(" AND "), parts.iter().all(|(_, is)| *is))
                }),
                prop::collection::vec(inner, 1..4).prop_map(|parts| {
                    let texts: Vec<String> = parts.iter().map(|(text, _)| format!("( {text} )")).collect();
                    (texts.join(" OR "), parts.iter().any(|(_, is)| *is))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn filters_mean_what_their_parts_mean((text, expected) in filters()) {
            prop_assert_eq!(matches(&text, &texts("Sre Team", "", "")), expected, "{}", text);
        }

        #[test]
        fn no_filter_panics(text in r#"[!() "a-z:*AND OR\\é]{0,40}"#, owner in ".{0,10}") {
            if let Ok(Some(filter)) = Filter::parse(&text) {
                let _ = filter.matches(&texts(&owner, "", ""));
            }
        }

        #[test]
        fn star_between_two_parts_is_prefix_and_suffix(a in "[ab]{0,5}", b in "[ab]{0,5}", owner in "[ab]{0,12}") {
            let expected = owner.len() >= a.len() + b.len() && owner.starts_with(&a) && owner.ends_with(&b);
            prop_assert_eq!(matches(&format!("owner:{a}*{b}"), &texts(&owner, "", "")), expected);
        }
    }
}
