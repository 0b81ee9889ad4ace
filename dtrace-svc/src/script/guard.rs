//! What a script may not hold. bpftrace's safe mode keeps scripts from starting programs, but not from reading and
//! writing files as the user that traces; D has an option with which a script may change the machine.
//!
//! The whole text is looked at, quoted texts and comments too. bpftrace reads a script with two readers, which do not
//! agree on where a comment or a quoted text begins (`uprobe://lib/a:b`, a quote inside of a C structure): nothing may
//! hide behind one. So a comment that says `cat(…)` is refused as well.

use super::Dialect;

/// bpftrace's functions for files: `cat` streams one, `skboutput` writes one.
const FILE_FUNCTIONS: [&str; 2] = ["cat", "skboutput"];

/// Longest line of a directive, in bytes.
const MAX_DIRECTIVE: usize = 4096;

/// Options of D that only say how much is kept and how it is shown. Of the others `destructive` lets a script start
/// programs, and some name files.
const D_OPTIONS: [&str; 30] = [
    "agghist",
    "aggpack",
    "aggrate",
    "aggsize",
    "aggsortkey",
    "aggsortkeypos",
    "aggsortpos",
    "aggsortrev",
    "aggzoom",
    "bufpolicy",
    "bufresize",
    "bufsize",
    "cleanrate",
    "defaultargs",
    "dynvarsize",
    "flowindent",
    "jstackframes",
    "jstackstrsize",
    "nspec",
    "quiet",
    "rawbytes",
    "specsize",
    "stackframes",
    "stackindent",
    "statusrate",
    "strsize",
    "switchrate",
    "temporal",
    "ustackframes",
    "zdefs",
];

/// Something that a script may not hold, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {what}")]
pub struct Forbidden {
    /// What it is; the text goes to the client.
    pub what: String,
    /// Line of the script, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
}

/// Looks through a script as it goes to the tracer. `may_use_files` lets bpftrace's scripts use files.
///
/// # Errors
/// [`Forbidden`], for the first thing found.
pub fn guard(script: &str, dialect: Dialect, may_use_files: bool) -> Result<(), Forbidden> {
    let look: fn(&str) -> Option<String> = match dialect {
        Dialect::Bpftrace if may_use_files => return Ok(()),
        Dialect::Bpftrace => file_use,
        Dialect::D => unsafe_option,
    };
    let (mut line, mut column, mut is_inside_word) = (1, 1, false);
    for (at, c) in script.char_indices() {
        let rest = script.get(at..).unwrap_or_default();
        let is_begin = !(is_inside_word && is_letter(c));
        if let Some(what) = Some(rest).filter(|_| is_begin).and_then(look) {
            return Err(Forbidden { what, line, column });
        }
        is_inside_word = is_letter(c);
        (line, column) = if c == '\n' { (line + 1, 1) } else { (line, column + 1) };
    }
    Ok(())
}

/// The use of a file that begins where `rest` does.
fn file_use(rest: &str) -> Option<String> {
    let what = match rest.chars().next()? {
        '#' => directive(rest.get(1..)?),
        // The other spelling of `#` in C.
        '%' => directive(rest.strip_prefix("%:")?),
        // C joins such lines, so that a word may go on in the next one.
        '\\' => goes_on(rest).then(|| "\\".to_owned()),
        _ => call(rest),
    };
    what.map(|what| {
        format!("{what} could use files of this machine, which scripts may do only where dtrace.allow_files says so")
    })
}

/// A function for files, unless what follows cannot make it a call: a macro may stand for the bracket. Newer versions
/// of bpftrace also read what `import` names.
fn call(rest: &str) -> Option<String> {
    let after = |word: &str| {
        let after = rest.strip_prefix(word).filter(|after| !after.starts_with(is_word))?;
        Some(after.trim_start_matches(|c: char| is_space(c) || c.is_whitespace()))
    };
    let is_called = |next: &str| {
        next.starts_with('(')
            || next.starts_with(is_letter)
            || next.starts_with("//")
            || next.starts_with("/*")
    };
    let function = FILE_FUNCTIONS.into_iter().find(|word| after(word).is_some_and(is_called));
    let import = || after("import").is_some_and(|next| next.starts_with('"')).then_some("import");
    function.or_else(import).map(str::to_owned)
}

/// What a directive of C, of which `rest` follows the `#`, reads or hides.
fn directive(rest: &str) -> Option<String> {
    let rest = rest.trim_start_matches(is_space);
    let name = rest.get(..rest.find(|c| !is_word(c)).unwrap_or(rest.len()).min(MAX_DIRECTIVE))?;
    let is_odd = match name {
        "include" => !line(rest).and_then(|line| line.strip_prefix(name)).is_some_and(is_system_header),
        "define" => line(rest).is_none_or(makes_function),
        "include_next" | "import" | "embed" => true,
        // A comment may stand before the name.
        "" => rest.starts_with("/*"),
        _ => false,
    };
    is_odd.then(|| format!("#{name}"))
}

/// Whether a header is looked for among those of the system, and cannot lead out of there.
fn is_system_header(rest: &str) -> bool {
    let name = rest.trim_start_matches(is_space).strip_prefix('<').and_then(|rest| rest.split_once('>'));
    let is_fine = |c: char| c.is_ascii_alphanumeric() || "_-+./".contains(c);
    name.is_some_and(|(name, _)| name.chars().all(is_fine) && !name.starts_with('/') && !name.contains(".."))
}

/// Whether the words of a macro's line, put together, may be a function for files. bpftrace puts macros in before it
/// looks at the words.
fn makes_function(line: &str) -> bool {
    let has_function = |text: &str| {
        let letters: String = text.chars().filter(|c| is_letter(*c)).collect();
        FILE_FUNCTIONS.iter().any(|word| letters.contains(word))
    };
    let (mut code, mut rest) = (String::new(), line);
    while let Some((before, comment)) = rest.split_once("/*") {
        code.push_str(before);
        // A comment that goes on in the next line takes the macro along.
        let Some((_, after)) = comment.split_once("*/") else { return true };
        rest = after;
    }
    code.push_str(rest);
    let is_quoting_comment = line.contains(['"', '\'']) && (line.contains("/*") || line.contains("//"));
    is_quoting_comment || has_function(line) || has_function(&code)
}

/// A line of D that sets an option which may do harm.
fn unsafe_option(rest: &str) -> Option<String> {
    let rest = rest.strip_prefix('#')?.trim_start_matches(is_space);
    let rest = if goes_on(rest) { rest } else { rest.strip_prefix("pragma")? };
    let line = line(rest).unwrap_or_default();
    let words: Vec<&str> = line.split_whitespace().collect();
    let is_fine = match words.as_slice() {
        ["D", "option", option, ..] => {
            let name = option.split_once('=').map_or(*option, |(name, _)| name);
            D_OPTIONS.contains(&name) && !line.contains("destructive")
        }
        ["D", "attributes" | "binding" | "depends_on", ..] | ["ident", ..] => true,
        _ => false,
    };
    (!is_fine).then(|| format!("#pragma{line} could change this machine, which scripts may not do"))
}

/// The rest of the line; `None` when it is too long.
fn line(rest: &str) -> Option<&str> {
    let end = rest.bytes().take(MAX_DIRECTIVE + 1).position(|byte| byte == b'\n' || byte == b'\r');
    rest.get(..end.unwrap_or(rest.len())).filter(|line| line.len() <= MAX_DIRECTIVE)
}

/// Whether a backslash here joins this line with the next.
fn goes_on(rest: &str) -> bool {
    let after = rest.strip_prefix('\\').map(|after| after.trim_start_matches(is_space));
    after.is_some_and(|after| after.starts_with(['\n', '\r']))
}

fn is_letter(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

fn is_word(c: char) -> bool {
    is_letter(c) || c.is_ascii_digit()
}

/// What C takes for a space within a line.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\x0b' | '\x0c' | '\0')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refused(script: &str, dialect: Dialect) -> Option<(u32, u32)> {
        guard(script, dialect, false).err().map(|forbidden| (forbidden.line, forbidden.column))
    }

    #[test]
    fn functions_for_files_are_found_where_they_stand() {
        for (script, place) in [
            ("BEGIN { cat(\"/etc/passwd\"); }", (1, 9)),
            ("BEGIN\n{\n  cat (\"/proc/%d/maps\", pid); }", (3, 3)),
            ("BEGIN { @x = 1;cat\n\t(\"a\") }", (1, 16)),
            ("BEGIN { cat/* c */(\"a\") }", (1, 9)),
            ("BEGIN { cat // c\n(\"a\") }", (1, 9)),
            ("BEGIN { $r = skboutput(\"/tmp/x\", args->skb, 1, 0); }", (1, 14)),
            ("import \"/etc/passwd\"", (1, 1)),
            // What only one of bpftrace's two readers takes for a comment or a quoted text.
            ("uprobe://lib/x:f { cat(\"a\") }", (1, 20)),
            ("uprobe:/*/x:f { cat(\"a\") }", (1, 17)),
            ("struct a { char c['\"']; };\nBEGIN { cat(\"a\") } // \"", (2, 9)),
            // A macro that is nothing, before the bracket.
            ("BEGIN { cat __USER_LABEL_PREFIX__ (\"a\") }", (1, 9)),
        ] {
            assert_eq!(refused(script, Dialect::Bpftrace), Some(place), "{script}");
            assert_eq!(guard(script, Dialect::Bpftrace, true), Ok(()));
        }
    }

    #[test]
    fn directives_that_read_files_or_hide_a_function_are_found() {
        for script in [
            "#include \"/etc/passwd\"",
            "#include </etc/passwd>",
            "#include <linux/../../../etc/passwd>",
            "#include HEADER",
            "#include",
            "# \t include \"a\"",
            "#/* c */include \"a\"",
            "%:include \"a\"",
            "struct a {\n#include \"/etc/passwd\"\n};",
            "#inc\\\nlude \"a\"",
            "#inc\\ \r\nlude \"a\"",
            "#include_next <a.h>",
            "#import <a.h>",
            "#embed \"/etc/passwd\"",
            "#define c cat",
            "#define c ca t",
            "#define c ca/* c */t",
            "#define c ca/*\n*/t",
            "#define c \"/*\" ca \"*/\" t",
            "#define c skb##output",
        ] {
            assert!(refused(script, Dialect::Bpftrace).is_some(), "{script}");
        }
    }

    #[test]
    fn other_words_are_left_alone() {
        for script in [
            "#!/usr/bin/env bpftrace\n#include <linux/sched.h>\n#include <net/sock.h> // s\n#define AF_INET 2 /* IPv4 */",
            "#ifndef BPFTRACE_HAVE_BTF\n#include <linux/path.h>\n#endif\nBEGIN { }",
            "tracepoint:a:b /comm == \"cat\"/ { @[comm] = count(); }",
            "BEGIN { printf(\"#%d of cat\\n\", 1); concat(1); cat2(1); @cat = 1; @cats[1] = 2; @x = @cat; }",
            "BEGIN { @import = 1; } // cat /proc/self/maps shows more; so # 1 does",
        ] {
            assert_eq!(refused(script, Dialect::Bpftrace), None, "{script}");
        }
        assert_eq!(refused("BEGIN { cat(1); } /* D has no such function */", Dialect::D), None);
    }

    #[test]
    fn options_of_d_with_which_a_script_may_change_the_machine_are_found() {
        for script in [
            "#pragma D option destructive\nBEGIN { system(\"id\"); }",
            "  # pragma D option destructive",
            "#pragma\tD  option destructive",
            "#pragma D option/**/destructive",
            "#pragma D option quiet destructive",
            "#pragma D option cpppath=/bin/sh",
            "#pragma D option libdir=/tmp",
            "#\\\npragma D option destructive",
            "#pragma",
            "#pragma C option quiet",
        ] {
            assert!(refused(script, Dialect::D).is_some(), "{script}");
            assert!(guard(script, Dialect::D, true).is_err(), "{script}");
        }
        let usual = "#!/usr/sbin/dtrace -s\n#pragma D option quiet\n#pragma D option bufsize=4m\n#pragma ident \"x\"\nBEGIN { printf(\"#\\n\"); }";
        assert_eq!(refused(usual, Dialect::D), None);
    }

    #[test]
    fn a_long_script_is_looked_through_in_time() {
        for part in ["a1", "# ", "#x", "cat.", "cat \n.", "#include <a>\n", "#define a 1\n", "\\ "] {
            let script = part.repeat((1 << 20) / part.len());
            let began = std::time::Instant::now();
            assert_eq!((refused(&script, Dialect::Bpftrace), refused(&script, Dialect::D)), (None, None));
            assert!(began.elapsed().as_secs() < 10, "{part}: {:?}", began.elapsed());
        }
        // Lines that would be read to their end again and again are refused.
        for part in ["#define a", "#include <a"] {
            assert_eq!(refused(&part.repeat(1000), Dialect::Bpftrace), Some((1, 1)), "{part}");
        }
    }

    proptest! {
        #[test]
        fn no_script_panics(script in "[cat(skboutpuinldefm)#%:<>\"'/*.\\\\ é\n]{0,80}") {
            let _ = (guard(&script, Dialect::Bpftrace, false), guard(&script, Dialect::D, false));
        }

        /// Whatever stands around it.
        #[test]
        fn a_call_is_always_found(before in "[^a-zA-Z_]{0,20}", after in "\\PC{0,20}") {
            let script = format!("{before}cat(\"/etc/passwd\"){after}");
            prop_assert!(refused(&script, Dialect::Bpftrace).is_some());
        }
    }
}
