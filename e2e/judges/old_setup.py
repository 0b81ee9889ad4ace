"""Lets setuptools read a setup.py that was written for Python 2. It is imported by the interpreter's start, through a .pth
file, while an environment is being made."""

import io
import tokenize

read_as_is = tokenize.open


def open_modern(path):
    """Opens a source file; a setup.py with Python 2's print statements is brought to Python 3."""
    if not str(path).endswith("setup.py"):
        return read_as_is(path)
    with read_as_is(path) as file:
        text = file.read()
    try:
        compile(text, str(path), "exec")
    except SyntaxError:
        from lib2to3.refactor import RefactoringTool

        text = str(RefactoringTool(["lib2to3.fixes.fix_print"]).refactor_string(text + "\n", str(path)))
    return io.StringIO(text)


tokenize.open = open_modern
