//! Texts that are stored: names, permissions, passwords.

use super::Invalid;
use shared::permission;

/// Longest name, role or permission in characters.
const TEXT_CHARS: usize = 255;

/// Most words of a permission.
const WORDS: usize = 32;

/// Shortest password in characters (NIST SP 800-63B, section 5.1.1.2) and longest in bytes: hashing reads all of it.
const PASSWORD_CHARS: usize = 8;
const PASSWORD_BYTES: usize = 1024;

/// Whether `text` can be stored and shown: 1 to 255 characters, none of them a control character.
#[must_use]
pub(crate) fn is_text(text: &str) -> bool {
    (1..=TEXT_CHARS).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

/// A name of a user, client, role or scope. A colon would end it in basic authentication.
///
/// # Errors
/// [`Invalid`].
pub(crate) fn check_name(name: &str) -> Result<(), Invalid> {
    if is_text(name) && name.trim() == name && !name.contains(':') {
        return Ok(());
    }
    Err(Invalid::new("The name must have 1 to 255 characters, no colon, and no space at its ends."))
}

/// A password or client secret that somebody chose.
///
/// # Errors
/// [`Invalid`].
pub(crate) fn check_password(password: &str) -> Result<(), Invalid> {
    if password.chars().count() >= PASSWORD_CHARS
        && password.len() <= PASSWORD_BYTES
        && !password.contains('\0')
    {
        return Ok(());
    }
    Err(Invalid::new("A password must have at least 8 characters and at most 1024 bytes, none of them zero."))
}

/// The pattern with these words, as it is written.
///
/// # Errors
/// [`Invalid`] for words that no permission has.
pub(crate) fn pattern(words: &[String]) -> Result<String, Invalid> {
    let written = words.join("->");
    let is_word = |word: &String| !word.is_empty() && !word.contains("->");
    if words.len() <= WORDS && words.iter().all(is_word) && is_text(&written) {
        return Ok(written);
    }
    Err(Invalid::new(
        "A permission must have 1 to 32 words and 1 to 255 characters, and no word may be empty.",
    ))
}

/// The words of a written pattern.
#[must_use]
pub(crate) fn words(pattern: &str) -> Vec<&str> {
    permission::words(pattern).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_be_in_any_script_but_not_odd() {
        for name in ["ada", "Ада Лавлейс", "愛", "a b", "x@example.com", "é".repeat(255).as_str()]
        {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        for name in ["", " a", "a\u{a0}", "a:b", "a\0", "a\nb", "\u{7f}", "é".repeat(256).as_str()] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn passwords_are_long_enough_and_bounded() {
        for password in ["12345678", "пароль12", " eight  ", "x".repeat(1024).as_str()] {
            assert_eq!(check_password(password), Ok(()), "{password}");
        }
        for password in ["", "1234567", "пароль1", "1234567\0", "x".repeat(1025).as_str()] {
            assert!(check_password(password).is_err(), "{password:?}");
        }
    }

    #[test]
    fn patterns_are_made_of_words() {
        let of = |words: &[&str]| pattern(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&["cloud", "_", "..."]).unwrap(), "cloud->_->...");
        assert_eq!(of(&["..."]).unwrap(), "...");
        for bad in [&[][..], &[""], &["a", ""], &["a->b"], &["a\0"], &["a"; 33], &[&"x".repeat(256)]] {
            assert!(of(bad).is_err(), "{bad:?}");
        }
    }
}
