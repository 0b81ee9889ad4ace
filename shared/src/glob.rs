//! Shell globs over whole names, in lists with exclusions.
//!
//! The syntax is that of Python's `fnmatch`, compared case-sensitively: `*` any run of characters (dots
//! are nothing special), `?` one character, `[seq]` one of, `[!seq]` one not of, with ranges; a `[` that
//! is never closed stands for itself. There is no escape character.

use std::str::Chars;

/// Longest glob taken, in characters. Names are far shorter; the bound keeps one match cheap.
const MAX_GLOB_CHARS: usize = 1000;

/// Why a list of globs is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("glob '{start}…' is longer than {MAX_GLOB_CHARS} characters")]
pub struct GlobError {
    start: String,
}

/// Globs that include and globs, written with a leading `!`, that exclude.
///
/// An exclusion beats every inclusion. Only exclusions: everything else is included. An empty list
/// matches nothing.
#[derive(Debug, Clone)]
pub struct GlobSet {
    includes: Vec<Glob>,
    excludes: Vec<Glob>,
}

impl GlobSet {
    /// Compiles a list of globs.
    ///
    /// # Errors
    /// [`GlobError`] if one of them is longer than 1000 characters.
    pub fn parse<S: AsRef<str>>(globs: impl IntoIterator<Item = S>) -> Result<Self, GlobError> {
        let (mut includes, mut excludes) = (Vec::new(), Vec::new());
        for glob in globs {
            match glob.as_ref().strip_prefix('!') {
                Some(excluded) => excludes.push(Glob::parse(excluded)?),
                None => includes.push(Glob::parse(glob.as_ref())?),
            }
        }
        if includes.is_empty() && !excludes.is_empty() {
            includes.push(Glob { tokens: vec![Token::Run] });
        }
        Ok(Self { includes, excludes })
    }

    /// Whether the whole of `name` is included and not excluded.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        self.includes.iter().any(|glob| glob.matches(name))
            && !self.excludes.iter().any(|glob| glob.matches(name))
    }

    /// Whether a bare `*` is among the inclusions and nothing is excluded.
    #[must_use]
    pub fn is_catch_all(&self) -> bool {
        self.excludes.is_empty() && self.includes.iter().any(|glob| glob.tokens == [Token::Run])
    }
}

/// One glob, cut into tokens.
#[derive(Debug, Clone)]
struct Glob {
    tokens: Vec<Token>,
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    /// `*`
    Run,
    /// `?`
    One,
    /// Any other character.
    Literal(char),
    /// `[seq]` or, negated, `[!seq]`; single characters are ranges of one.
    Class { negated: bool, ranges: Vec<(char, char)> },
}

impl Token {
    /// Whether the token takes exactly this character; [`Token::Run`] is handled by the caller.
    fn takes(&self, c: char) -> bool {
        match self {
            Self::Run => false,
            Self::One => true,
            Self::Literal(own) => *own == c,
            Self::Class { negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated
            }
        }
    }
}

impl Glob {
    fn parse(text: &str) -> Result<Self, GlobError> {
        if text.chars().nth(MAX_GLOB_CHARS).is_some() {
            return Err(GlobError { start: text.chars().take(40).collect() });
        }
        let mut tokens = Vec::new();
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            let token = match c {
                '*' if tokens.last() == Some(&Token::Run) => continue,
                '*' => Token::Run,
                '?' => Token::One,
                '[' => parse_class(&mut rest),
                literal => Token::Literal(literal),
            };
            tokens.push(token);
        }
        Ok(Self { tokens })
    }

    /// Matches by remembering only the last `*`: at most (length of name) x (length of glob) steps.
    fn matches(&self, name: &str) -> bool {
        let (mut tokens, mut rest) = (self.tokens.as_slice(), name.chars());
        let mut retry: Option<(&[Token], Chars<'_>)> = None;
        loop {
            let after = rest.clone().next();
            match (tokens.split_first(), after) {
                (Some((Token::Run, tail)), _) => {
                    if tail.is_empty() {
                        return true;
                    }
                    retry = Some((tail, rest.clone()));
                    tokens = tail;
                }
                (Some((token, tail)), Some(c)) if token.takes(c) => {
                    tokens = tail;
                    rest.next();
                }
                (None, None) => return true,
                (_, None) => return false,
                (_, Some(_)) => {
                    let Some((tail, from)) = &mut retry else { return false };
                    from.next();
                    tokens = tail;
                    rest = from.clone();
                }
            }
        }
    }
}

/// Reads a class after its `[`; if it is never closed, `rest` stays put and the `[` is a literal.
fn parse_class(rest: &mut Chars<'_>) -> Token {
    let mut ahead = rest.clone();
    let negated = ahead.as_str().starts_with('!');
    if negated {
        ahead.next();
    }
    let mut members = Vec::new();
    loop {
        match ahead.next() {
            // A `]` in first place is a member.
            Some(']') if !members.is_empty() => break,
            Some(c) => members.push(c),
            None => return Token::Literal('['),
        }
    }
    *rest = ahead;
    let mut ranges = Vec::new();
    let mut members = members.as_slice();
    while let Some((low, tail)) = members.split_first() {
        if let ['-', high, after @ ..] = tail {
            // A range that runs backwards holds nothing.
            ranges.push((*low, *high));
            members = after;
        } else {
            ranges.push((*low, *low));
            members = tail;
        }
    }
    Token::Class { negated, ranges }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(globs: &[&str]) -> GlobSet {
        GlobSet::parse(globs).unwrap()
    }

    #[test]
    fn star_crosses_dots_and_the_whole_name_must_match() {
        let globs = set(&["compute.instance.*"]);
        assert!(globs.matches("compute.instance.create.end"));
        assert!(globs.matches("compute.instance."));
        assert!(!globs.matches("compute.instance"));
        assert!(!globs.matches("x.compute.instance.create"));
    }

    #[test]
    fn case_counts() {
        assert!(!set(&["Compute*"]).matches("compute.x"));
    }

    #[test]
    fn exclusion_beats_inclusion_and_alone_includes_the_rest() {
        let both = set(&["compute.*", "!*.exists"]);
        assert!(both.matches("compute.x") && !both.matches("compute.exists") && !both.matches("volume.x"));
        let only = set(&["!compute.*"]);
        assert!(only.matches("volume.x") && !only.matches("compute.x"));
        assert!(!set(&[]).matches("anything"));
    }

    #[test]
    fn catch_all_is_a_bare_star_without_exclusion() {
        assert!(set(&["*"]).is_catch_all());
        assert!(set(&["compute.*", "*"]).is_catch_all());
        assert!(!set(&["*", "!x"]).is_catch_all());
        assert!(!set(&["compute.*"]).is_catch_all());
    }

    /// Each row checked with Python's `fnmatch.fnmatchcase`.
    #[test]
    fn classes_follow_fnmatch() {
        for (glob, name, expected) in [
            ("a[bc]d", "abd", true),
            ("a[bc]d", "axd", false),
            ("a[!bc]d", "axd", true),
            ("a[!bc]d", "abd", false),
            ("[0-9]x", "7x", true),
            ("[z-a]x", "mx", false),
            ("[!z-a]x", "mx", true),
            ("[]x]", "]", true),
            ("[!]x]", "]", false),
            ("[!]x]", "y", true),
            ("[", "[", true),
            ("a[b", "a[b", true),
            ("[!", "[!", true),
            ("[]", "[]", true),
            ("[a-]", "-", true),
            ("[-a]", "-", true),
            ("[^a]", "^", true),
            ("[^a]", "b", false),
            (r"\*", r"\x", true),
            ("[*]", "*", true),
            ("[*]", "x", false),
            ("?", "", false),
            ("?", "é", true),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("*.[s-u]nd", "x.end", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
        ] {
            assert_eq!(set(&[glob]).matches(name), expected, "{glob} on {name}");
        }
    }

    #[test]
    fn overlong_glob_is_refused() {
        let error = GlobSet::parse(["x".repeat(1001)]).unwrap_err();
        assert!(error.to_string().contains("longer than 1000 characters"), "{error}");
    }

    #[test]
    fn hostile_glob_does_not_explode() {
        let globs = set(&["a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b"]);
        assert!(!globs.matches(&"a".repeat(20_000)));
    }

    proptest! {
        #[test]
        fn literal_glob_matches_itself_alone(name in "[a-z.é]{0,20}", other in "[a-z.é]{0,20}") {
            prop_assert!(set(&[&name]).matches(&name));
            prop_assert_eq!(set(&[&name]).matches(&other), name == other);
        }

        #[test]
        fn star_between_two_parts_is_prefix_and_suffix(a in "[ab.]{0,6}", b in "[ab.]{0,6}", name in "[ab.]{0,16}") {
            let expected = name.len() >= a.len() + b.len() && name.starts_with(&a) && name.ends_with(&b);
            prop_assert_eq!(set(&[&format!("{a}*{b}")]).matches(&name), expected);
        }

        #[test]
        fn no_glob_panics(glob in r"[\[\]!*?\-aé^]{0,12}", name in ".{0,12}") {
            let _ = set(&[&glob]).matches(&name);
        }
    }
}
