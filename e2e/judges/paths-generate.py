#!/usr/bin/env python3
"""Asks the original path packages what generated paths find in a few documents.

`paths-generate.py events-svc/tests/fixtures/paths.jsonl.gz` takes some minutes and writes the documents, as one JSON list in the first line, and then one JSON list per line:
    [grammar, path, document, answer]
grammar is "plain" (jsonpath-rw) or "extended" (jsonpath-rw-ext); document is a place in the list; answer is
    "refused"        the path does not parse
    "fails"          it parses and the search throws, as it does for an index into a number
    "intersection"   it parses and holds `a & b`, which throws whatever the document is
    [[path, value], ...]
The same seed gives the same paths; nothing else decides.
"""

import contextlib
import gzip
import io
import json
import random

import judge

judge.enter("openstack")

import jsonpath_rw  # noqa: E402
import jsonpath_rw_ext.parser  # noqa: E402

CASES = 6000
SEED = 20150227
DOCUMENTS = [
    {"a": {"b": 1, "c": [1, 2, 3], "d": "x.y.z", "e": None, "f": 1.5, "g": True},
     "b": 7, "c": "top", "d": [{"a": "p", "b": 3}, {"a": "q", "b": "1"}, {"a": "r"}, {"c": {"b": [0]}}],
     "x.y": {"b": "dots"}, "e": None, "-": "minus"},
    {"a": [[3, 1, 2], ["b", "a"], [], [2.5, 1, True]], "b": {"a": {"a": {"a": {"b": "deep", "c": []}}}},
     "c": "compute.node.7", "d": [{"a": 2, "b": "x"}, {"a": 1, "b": "y"}, {"a": 2, "b": "a", "c": None}], "e": ""},
]
PLAIN_WORDS = ["a", "b", "c", "d", "e", "$", "*", ".", "..", "|", "[", "]", "(", ")", ",", ":", "&", "where", "'x.y'",
               '"b"', "'", "`this`", "`parent`", "`len`", "0", "-1", "7", "@", "a-b", "\\", "\n", " ", "?", "é", "=", "+"]
WORDS = PLAIN_WORDS + ["`sorted`", "`split(., 1, 1)`", "`sub(/o/, 0)`", "1.5", "<", "!=", "~", "/", "-", "true", "-1.5"]
FIXED = [
    "`split(., 0, -1)`", "`split(., 2, 1)`", "`split(., 9, -1)`", "`split(., 1, 0)`", "`split(., 0)`", "`split(ab, 0, 1)`",
    "`split(., -1, 1)`", "`sub(/o.*e/, X)`", "`sub(/(o)(.)/, \\\\2\\\\1)`", "`sub(/(?P<n>o)/, <\\\\g<n>>)`", "`sub(/^/, z)`",
    "`sub(/zzz/, 0)`", "`sub(/o/, 0)`x", "`sub(o, 0)`", "`sub(/[/, 0)`", "`nothing`", "`len`", "`sorted`",
]


class Paths:
    """Random paths, most of them well-formed."""

    def __init__(self, rng, extended):
        self.rng, self.extended = rng, extended

    def name(self):
        return self.rng.choice(["a", "b", "c", "d", "e", "zz", "a", "b", "'x.y'", '"b"', "'a'", "f", "g"])

    def atom(self, depth):
        kinds = ["name"] * 12 + ["names", "star", "star", "root", "this", "parent", "group", "bracket"]
        kind = self.rng.choice(kinds + ["named"] * 2 if self.extended else kinds)
        if kind == "names":
            return ",".join(self.name() for _ in range(2))
        if kind == "group" and depth > 0:
            return "(" + self.path(depth - 1) + ")"
        if kind == "bracket":
            return self.plain_bracket()
        if kind == "named":
            return self.rng.choice(FIXED)
        return {"star": "*", "root": "$", "this": "`this`", "parent": "`parent`"}.get(kind, self.name())

    def plain_bracket(self):
        integer = lambda: self.rng.choice(["", "0", "1", "-1", "2", "-7", "9"])
        return "[" + self.rng.choice([
            lambda: self.rng.choice(["0", "1", "2", "-1", "-3", "5"]), lambda: "*", lambda: integer() + ":" + integer(),
            self.name, lambda: self.name() + "," + self.name(), lambda: " 0 ",
        ])() + "]"

    def bracket(self, depth):
        if not self.extended or depth == 0 or self.rng.random() < 0.5:
            return self.plain_bracket()
        if self.rng.random() < 0.4:
            keys = [self.rng.choice("/\\") + self.rng.choice(["@", "a", "b", "`this`", "c.b"]) for _ in range(self.rng.choice([1, 1, 2]))]
            return "[" + self.rng.choice([",", ", ", " "]).join(keys) + "]"
        return "[?" + self.conditions(depth - 1) + "]"

    def conditions(self, depth):
        parts = [self.condition(depth) for _ in range(self.rng.choice([1, 1, 1, 2, 3]))]
        if self.rng.random() < 0.2:
            parts[0] = "(" + parts[0] + ")"
        return " & ".join(parts)

    def condition(self, depth):
        target = self.rng.choice(["a", "b", "c.b", "@", "`this`", "$.a", "(a)", "c.b[0]", "*", "b.`len`"])
        if depth > 0 and self.rng.random() < 0.1:
            target = self.path(depth - 1)
        operator = self.rng.choice(["=", "==", "!=", "<", ">", "<=", ">=", "~"])
        value = self.rng.choice(["p", "q", "'1'", "1", "2", "0", "-1", "1.0", "2.5", "true", "false", "'[pq]'", "x", "''", "'^a'"])
        return target + self.rng.choice(["", " "]) + operator + value

    def path(self, depth):
        text = self.atom(depth)
        for _ in range(self.rng.choice([0, 1, 1, 2, 2, 3, 4])):
            text += self.rng.choice([
                lambda: "." + self.atom(depth), lambda: "." + self.atom(depth), lambda: "." + self.atom(depth),
                lambda: self.bracket(depth), lambda: self.bracket(depth), lambda: ".." + self.atom(depth),
                lambda: "|" + self.atom(depth), lambda: " where " + self.atom(depth),
                lambda: self.arithmetic(depth) if self.extended else "." + self.atom(depth),
            ])()
        return text

    def arithmetic(self, depth):
        right = self.rng.choice(["1", "2", "1.5", "$.b", "$.c", "a.b", "b", "'-'", "$.d", "-3", "a.c[*]"])
        return " " + self.rng.choice("+-*") + " " + right

    def words(self):
        words = WORDS if self.extended else PLAIN_WORDS
        return "".join(self.rng.choice(words) for _ in range(self.rng.randint(1, 6)))

    def mutated(self):
        text = self.path(1)
        place = self.rng.randrange(len(text) + 1)
        return text[:place] + self.rng.choice(["", self.rng.choice(WORDS)]) + text[place + self.rng.choice([0, 1]):]


def dotted(match):
    return dotted(match.context) + [str(match.path)] if match.context is not None else []


def answer(parse, path, document):
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            parsed = parse(path)
        except Exception:
            return "refused"
        try:
            return [[".".join(dotted(match)), match.value] for match in parsed.find(document)]
        except NotImplementedError:
            return "intersection"
        except Exception:
            return "fails"


def main(out):
    rng = random.Random(SEED)
    seen, lines = set(), [json.dumps(DOCUMENTS)]
    while len(lines) <= CASES:
        extended = rng.random() < 0.65
        paths = Paths(rng, extended)
        kind = rng.random()
        path = paths.path(rng.choice([1, 2])) if kind < 0.7 else paths.mutated() if kind < 0.85 else paths.words()
        if (extended, path) in seen:
            continue
        seen.add((extended, path))
        parse = jsonpath_rw_ext.parser.parse if extended else jsonpath_rw.parse
        place = rng.randrange(len(DOCUMENTS))
        found = answer(parse, path, DOCUMENTS[place])
        if rng.random() < {"[]": 0.8, '"fails"': 0.6, '"refused"': 0.5}.get(json.dumps(found), 0):
            continue
        lines.append(json.dumps(["extended" if extended else "plain", path, place, found], ensure_ascii=False))
    with gzip.GzipFile(out, "wb", mtime=0) as file:
        file.write(("\n".join(lines) + "\n").encode())


if __name__ == "__main__":
    main(*judge.arguments("OUT.jsonl.gz", 1))
