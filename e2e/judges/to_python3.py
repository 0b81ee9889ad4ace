"""Brings the installed StackTach programs, written for Python 2, to the Python that runs this.

It edits the files of the environment it runs in. Every replacement must be found, so that another version of a program is
noticed and not half changed.
"""

import pathlib
import re
import sysconfig

from lib2to3.refactor import RefactoringTool

SITE = pathlib.Path(sysconfig.get_path("purelib"))
PROGRAMS = ["klugman", "notabene", "notigen", "simport", "stackdistiller", "timex", "winchester"]

# Only what the programs need: each further fixer is a further risk to change what they do.
FIXERS = [f"lib2to3.fixes.fix_{name}" for name in ("basestring", "dict", "except", "nonzero", "print", "unicode")]

# (file, pattern, replacement)
EDITS = [
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
]


def main():
    tool = RefactoringTool(FIXERS, {"print_function": False})
    modern = RefactoringTool(FIXERS, {"print_function": True})
    for program in PROGRAMS:
        places = [SITE / program] if (SITE / program).is_dir() else [SITE / f"{program}.py"]
        for path in (file for place in places for file in (place.rglob("*.py") if place.is_dir() else [place])):
            text = path.read_text()
            chosen = modern if "print(" in text else tool
            path.write_text(str(chosen.refactor_string(text if text.endswith("\n") else text + "\n", str(path))))
    for name, pattern, replacement in EDITS:
        path = SITE / name
        text, count = re.subn(pattern, replacement, path.read_text(), flags=re.MULTILINE)
        if count == 0:
            raise SystemExit(f"{name}: nothing matches {pattern}")
        path.write_text(text)


if __name__ == "__main__":
    main()
