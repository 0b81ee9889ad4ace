"""Brings the installed programs of an environment, written for Python 2, to the Python that runs this.

Its argument is the environment's name. It edits the files of the environment it runs in. Every replacement must be found,
so that another version of a program is noticed and not half changed.
"""

import pathlib
import re
import sys
import sysconfig

from lib2to3.refactor import RefactoringTool

SITE = pathlib.Path(sysconfig.get_path("purelib"))
SCRIPTS = pathlib.Path(sysconfig.get_path("scripts"))

# The programs of each environment: packages, modules, and `bin/` scripts.
PROGRAMS = {
    "stacktach": ["klugman", "notabene", "notigen", "simport", "stackdistiller", "timex", "winchester"],
    "fifo": ["fifo", "bin/fifo"],
}

# Only what the programs need: each further fixer is a further risk to change what they do.
FIXERS = {
    "stacktach": ["basestring", "dict", "except", "nonzero", "print", "unicode"],
    "fifo": ["dict", "except", "has_key", "imports", "print", "urllib"],
}

# (file, pattern, replacement)
EDITS = {
    "stacktach": [
        # The abstract classes moved.
        ("winchester/config.py", r"\bcollections\.(Mapping|Sequence)\b", r"collections.abc.\1"),
        ("winchester/config.py", r"^import collections$", "import collections.abc"),
        ("winchester/definition.py", r"\bcollections\.Mapping\b", "collections.abc.Mapping"),
        ("winchester/definition.py", r"^import collections$", "import collections.abc"),
        # Bytes were the plain strings, which are decoded before they are stored.
        ("winchester/models.py", r"isinstance\(value, str\)", "isinstance(value, bytes)"),
        # Exceptions lost their `message`.
        ("stackdistiller/distiller.py", r"self\.message\)", "self.args[0])"),
        # Modules of the own package were found without its name.
        ("klugman/klugman.py", r"^import v1$", "from klugman import v1"),
        ("klugman/v1.py", r"^import base$", "from klugman import base"),
        ("klugman/base.py", r"^import jsonutil$", "from klugman import jsonutil"),
    ],
    "fifo": [
        # Of two commands of one name the later counted; now a second one is an error.
        ("fifo/api/user.py", r"add_parser\('delete', help='gets a user'\)", "add_parser('delete-first', help='gets a user')"),
    ],
}


def files(program):
    if program.startswith("bin/"):
        return [SCRIPTS / program.removeprefix("bin/")]
    package = SITE / program
    return list(package.rglob("*.py")) if package.is_dir() else [SITE / f"{program}.py"]


def main():
    (name,) = sys.argv[1:]
    fixers = [f"lib2to3.fixes.fix_{fixer}" for fixer in FIXERS[name]]
    tool = RefactoringTool(fixers, {"print_function": False})
    modern = RefactoringTool(fixers, {"print_function": True})
    for program in PROGRAMS[name]:
        for path in files(program):
            text = path.read_text()
            # A file with both kinds of print can only be read as Python 2.
            is_modern = "print(" in text and not re.search(r"^\s*print [^(\s]", text, flags=re.MULTILINE)
            chosen = modern if is_modern else tool
            path.write_text(str(chosen.refactor_string(text if text.endswith("\n") else text + "\n", str(path))))
    for file, pattern, replacement in EDITS[name]:
        path = SITE / file
        text, count = re.subn(pattern, replacement, path.read_text(), flags=re.MULTILINE)
        if count == 0:
            raise SystemExit(f"{file}: nothing matches {pattern}")
        path.write_text(text)


if __name__ == "__main__":
    main()
