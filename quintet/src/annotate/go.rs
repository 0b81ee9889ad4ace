//! The original is written in Go, whose flags have one dash or two and end at the first word that is none. Here its
//! command lines are brought into the form that the other commands have.

use std::ffi::{OsStr, OsString};

/// Flags of the program that may stand before the command, and take a value.
const GLOBAL: [&str; 2] = ["config", "data-dir"];

/// Flags of `annotate` and its commands that take a value. `h` is the only short one.
const VALUED: [&str; 16] = [
    "h", "api", "token", "start", "end", "user", "id", "host", "owner", "category", "url", "source",
    "filter", "limit", "config", "data-dir",
];

/// Flags without a value.
const PLAIN: [&str; 2] = ["in", "help"];

/// Words that are commands when they come first.
const COMMANDS: [&str; 3] = ["list", "search", "delete"];

/// The arguments with two dashes where `annotate` has them with one, and a `--` before the message; the arguments
/// of other commands as they are.
pub(crate) fn with_two_dashes(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments = arguments.into_iter();
    let mut out: Vec<OsString> = arguments.next().into_iter().collect();
    while let Some(argument) = arguments.next() {
        let is_command = argument == "annotate";
        let (name, value) = flag(&argument);
        let takes_next = name.is_some_and(|name| GLOBAL.contains(&name)) && value.is_none();
        let is_flag = argument.as_encoded_bytes().starts_with(b"-");
        out.push(argument);
        if is_command {
            rewrite(&mut arguments, &mut out);
        } else if takes_next {
            out.extend(arguments.next());
        } else if !is_flag {
            break;
        }
    }
    out.extend(arguments);
    out
}

/// Rewrites what comes after `annotate`.
fn rewrite(arguments: &mut impl Iterator<Item = OsString>, out: &mut Vec<OsString>) {
    let (mut is_list, mut is_first) = (false, true);
    while let Some(argument) = arguments.next() {
        let (name, value) = flag(&argument);
        match name {
            Some(name) if VALUED.contains(&name) => {
                let dashes = if name == "h" { "-" } else { "--" };
                out.push(format!("{dashes}{name}").into());
                // `-host ""` has its value in the next argument, `-host=` in this one.
                out.extend(value.map(OsString::from).or_else(|| arguments.next()));
            }
            Some(name) if PLAIN.contains(&name) => out.push(format!("--{name}").into()),
            _ if argument == "--" => {
                out.push(argument);
                break;
            }
            // Unknown flags are told as such; `-o json` of the lists is one of them here.
            _ if argument.as_encoded_bytes().starts_with(b"-") => out.push(argument),
            _ if is_first && COMMANDS.iter().any(|command| argument == *command) => {
                is_list = true;
                out.push(argument);
            }
            _ if is_list => out.push(argument),
            _ => {
                out.extend(["--".into(), argument]);
                break;
            }
        }
        is_first = false;
    }
}

/// Name and value of `-name`, `--name`, `-name=value`.
fn flag(argument: &OsStr) -> (Option<&str>, Option<&str>) {
    let Some(name) = argument.to_str().and_then(|text| text.strip_prefix('-')) else { return (None, None) };
    let name = name.strip_prefix('-').unwrap_or(name);
    match name.split_once('=') {
        Some((name, value)) => (Some(name), Some(value)),
        None => (Some(name), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(line: &[&str]) -> Vec<String> {
        let out = with_two_dashes(line.iter().map(OsString::from));
        out.into_iter().map(|argument| argument.into_string().unwrap()).collect()
    }

    #[test]
    fn flags_of_the_original_get_two_dashes_and_the_message_is_fenced_off() {
        let line = ["q", "annotate", "-owner", "sre", "--host=", "-h", "http://b/api", "web", "-v2", "out"];
        let expected = [
            "q",
            "annotate",
            "--owner",
            "sre",
            "--host",
            "",
            "-h",
            "http://b/api",
            "--",
            "web",
            "-v2",
            "out",
        ];
        assert_eq!(rewritten(&line), expected);
        let line = ["q", "--config", "f", "annotate", "-start", "-2h", "-in"];
        assert_eq!(rewritten(&line), ["q", "--config", "f", "annotate", "--start", "-2h", "--in"]);
    }

    #[test]
    fn a_command_is_one_only_as_the_first_word() {
        let line = ["q", "annotate", "list", "-owner", "sre", "-o", "json"];
        assert_eq!(rewritten(&line), ["q", "annotate", "list", "--owner", "sre", "-o", "json"]);
        let line = ["q", "annotate", "-owner", "sre", "list", "of"];
        assert_eq!(rewritten(&line), ["q", "annotate", "--owner", "sre", "--", "list", "of"]);
        assert_eq!(rewritten(&["q", "annotate", "--", "list"]), ["q", "annotate", "--", "list"]);
    }

    #[test]
    fn other_commands_and_unknown_flags_stay_as_they_are() {
        let line = ["q", "events", "list", "-owner", "annotate", "-start"];
        assert_eq!(rewritten(&line), line);
        assert_eq!(rewritten(&["q", "annotate", "-onwer", "sre"]), ["q", "annotate", "-onwer", "--", "sre"]);
        assert_eq!(rewritten(&[]), Vec::<String>::new());
    }
}
