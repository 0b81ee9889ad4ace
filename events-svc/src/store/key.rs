//! Texts as index keys. A B-tree takes no key of unlimited length (PostgreSQL: 2 704 bytes), and the contract wants
//! long ids, types and values kept whole: keys are cut and hashed, the wire texts keep everything.

use sha2::{Digest, Sha256};

/// Longest text that is its own key, in bytes.
const MAX_KEY_BYTES: usize = 200;

/// `text` itself, or for long ones its beginning and the SHA-256 of the whole in hexadecimal. So too for texts with
/// `\0`, which PostgreSQL cannot hold.
#[must_use]
pub(super) fn key(text: &str) -> String {
    if text.len() <= MAX_KEY_BYTES && !text.contains('\0') {
        return text.to_owned();
    }
    let digest: String = Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let most = if text.contains('\0') { 0 } else { MAX_KEY_BYTES - digest.len() };
    let start = text.floor_char_boundary(most);
    format!("{}{digest}", text.get(..start).unwrap_or_default())
}

/// What `events.scope` holds of the events of `project`. A blank there means that an event has no project but other text
/// traits, so a project with a blank name has another: a text that no header can hold, so nobody asks for it.
#[must_use]
pub(super) fn scope(project: &str) -> String {
    if project.is_empty() { "\u{1f}".to_owned() } else { key(project) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_texts_are_their_own_key_and_long_ones_stay_distinct() {
        assert_eq!(key("compute.instance.exists"), "compute.instance.exists");
        let (one, two) = (format!("{}1", "é".repeat(5000)), format!("{}2", "é".repeat(5000)));
        assert_ne!(key(&one), key(&two));
        assert!(key(&one).len() <= MAX_KEY_BYTES);
        assert!(!key("a\0b").contains('\0') && key("a\0b") != key("a\0c"));
    }
}
