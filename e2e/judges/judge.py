"""What the runners share: they are started with any Python and go on in the environment of their original program."""

import datetime
import json
import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
HOME = pathlib.Path(os.environ.get("QUINTET_JUDGES") or HERE.parent.parent / "target" / "judges").resolve()


def enter(environment):
    """Replaces this process by the same one under the environment's Python, unless it runs there already."""
    folder = HOME / environment
    if pathlib.Path(sys.prefix).resolve() == folder:
        return
    python = folder / "bin" / "python"
    if not (folder / "made").exists():
        raise SystemExit(f"{folder} is missing: run e2e/judges/setup")
    os.execv(python, [str(python), "-W", "ignore", *sys.argv])


def arguments(usage, at_least, at_most=None):
    """The arguments, or the usage text and status 2."""
    given = sys.argv[1:]
    if not at_least <= len(given) <= (at_most or at_least):
        print(f"usage: {pathlib.Path(sys.argv[0]).name} {usage}", file=sys.stderr)
        raise SystemExit(2)
    return given


def lines():
    """The JSON documents of standard input, one a line; blank lines are skipped."""
    for line in sys.stdin:
        if line.strip():
            yield json.loads(line)


def put(document):
    """Writes one JSON document as a line, datetimes in ISO form."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, default=datetime.datetime.isoformat) + "\n")


def naive_utc(value):
    """A datetime moved to UTC, without its zone, as every original program stores it."""
    if value.tzinfo is None:
        return value
    return value.astimezone(datetime.timezone.utc).replace(tzinfo=None)


def typed(value):
    """A trait value with the name of its type: {"t": "text|int|float|datetime|range", "v": ...}."""
    if isinstance(value, datetime.datetime):
        return {"t": "datetime", "v": naive_utc(value).isoformat()}
    if isinstance(value, bool) or value is None:
        raise TypeError(f"no trait can hold {value!r}")
    for kind, name in ((int, "int"), (float, "float"), (str, "text")):
        if isinstance(value, kind):
            return {"t": name, "v": value}
    return {"t": "range", "v": [value.begin.isoformat(), value.end.isoformat()]}
