#!/usr/bin/env python3
"""Asks the original timex for the values of generated time expressions.

Needs the original: `pip install timex==0.20 six ply` (it runs on Python 3 as it is). Then
    timex-generate.py streams-svc/tests/fixtures/timex.jsonl.gz
writes one JSON object per line:
    {"e": expression, "v": {variable: instant}, "r": answer}
with one of these answers
    ["stamp", instant]  ["range", begin, end]
    ["parse"]           refused when parsing
    ["eval"]            no value for these variables
    ["unknown"]         parsed, but names a function that does not exist
    ["plus", why]       where the original crashes or never ends and the contract decides otherwise:
                        clamp (a day that the month lacks), unpinned, microsecond, endless
The same seed gives the same expressions; nothing else decides.
"""

import datetime
import gzip
import json
import random
import signal
import sys
import traceback

import timex

CASES = 13000
SEED = 20150227
UNITS = ["us", "s", "sec", "m", "min", "h", "hr", "d", "mo", "y", "yr"]
NAMES = ["timestamp", "first", "last", "a", "_b2"]
FUNCTIONS = ["hour", "day", "month", "year"]
WORDS = FUNCTIONS + UNITS + ["to", "$", "$timestamp", "$a", "$undefined", "(", ")", "+", "-", "@", "7", "30", "1d",
                             "week", "%", "\n", "day(", "$d"]


def replacement(rng):
    """A duration that mostly names possible parts of a date."""
    parts = {"y": (1, 9999), "mo": (1, 12), "d": (1, 28), "h": (0, 23), "m": (0, 59), "s": (0, 59), "us": (0, 999999)}
    units = rng.sample(sorted(parts), rng.choice([1, 1, 2, 3]))
    return " ".join("%d%s" % (rng.randint(*parts[unit]), unit) for unit in units)


def operation(rng, bare):
    operator = rng.choice("+-@")
    if operator == "@" and not bare and rng.random() < 0.8:
        return "@ " + replacement(rng)
    return "%s %s" % (operator, duration(rng, bare))


def duration(rng, bare):
    pieces = []
    for _ in range(rng.choice([1, 1, 1, 2, 2, 3])):
        if bare and rng.random() < 0.5:
            pieces.append(str(rng.choice([0, 1, 2, 5, 12, 23, 30, 40, 59, 90, 300])))
            continue
        unit = rng.choice(UNITS)
        top = {"y": 30, "yr": 30, "mo": 30, "d": 400, "h": 100, "hr": 100}.get(unit, 3000)
        number = rng.randint(0, top) if rng.random() < 0.5 else rng.randint(0, 31)
        pieces.append("%d%s%s" % (number, rng.choice(["", "", " "]), unit))
    return " ".join(pieces)


def stamp(rng, depth=0):
    roll = rng.random()
    if depth > 3 or roll < 0.45:
        return "$" + rng.choice(NAMES) if rng.random() < 0.97 else "$undefined"
    if roll < 0.85:
        return "%s %s" % (stamp(rng, depth + 1), operation(rng, rng.random() < 0.02))
    return "(%s)" % stamp(rng, depth + 1)


def time_range(rng, depth=0):
    roll = rng.random()
    if depth > 2 or roll < 0.25:
        return rng.choice(FUNCTIONS)
    if roll < 0.40:
        return "%s(%s)" % (rng.choice(FUNCTIONS), stamp(rng, 2))
    if roll < 0.52:
        text = "%s to %s" % (stamp(rng, 1), stamp(rng, 1))
        return "(%s)" % text if depth else text
    if roll < 0.95:
        inner = time_range(rng, depth + 1)
        bare = (inner in FUNCTIONS or inner.endswith(")")) and rng.random() < 0.5
        return "%s %s" % (inner, operation(rng, bare))
    return "(%s)" % time_range(rng, depth + 1)


def expression(rng):
    roll = rng.random()
    if roll < 0.55:
        return time_range(rng)
    if roll < 0.85:
        return stamp(rng)
    return rng.choice([" ", ""]).join(rng.choice(WORDS) for _ in range(rng.randint(0, 7)))


def instant(rng):
    roll = rng.random()
    if roll < 0.80:
        year = rng.randint(2000, 2030)
    elif roll < 0.95:
        year = rng.randint(1, 9999)
    else:
        year = rng.choice([1, 9999])
    day = datetime.datetime(year, 1, 1) + datetime.timedelta(days=rng.randint(0, 364))
    if rng.random() < 0.2:
        day = day.replace(month=rng.choice([1, 3, 5, 8, 12]), day=31)
    if rng.random() < 0.2:
        return day
    return day + datetime.timedelta(seconds=rng.randint(0, 86399), microseconds=rng.randint(0, 999999))


class Endless(Exception):
    pass


def on_alarm(*_):
    raise Endless()


def answer(text, variables):
    try:
        parsed = timex.parse(text)
    except Exception:  # the original refuses the empty text with an AttributeError
        return ["parse"]
    signal.setitimer(signal.ITIMER_REAL, 20)
    try:
        value = parsed(**variables)
        if value.is_range:
            return ["range", value.begin.isoformat(), value.end.isoformat()]
        return ["stamp", value.timestamp.isoformat()]
    except Endless:
        return ["plus", "endless"]
    except AttributeError as error:
        if "time_range" in str(error):
            return ["plus", "unpinned"]
        raise
    except NameError:
        return ["plus", "microsecond"]
    except ValueError as error:
        functions = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
        if functions[-1] in ("_dt_add", "_dt_sub") and "day is out of range" in str(error):
            return ["plus", "clamp"]
        return ["eval"]
    except (OverflowError, timex.TimexExpressionError) as error:
        return ["unknown"] if "Unknown Function" in str(error) else ["eval"]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def main():
    rng = random.Random(SEED)
    signal.signal(signal.SIGALRM, on_alarm)
    with open(sys.argv[1], "wb") as raw, gzip.GzipFile("", "wb", 9, raw, 0) as out:
        seen = set()
        while len(seen) < CASES:
            text = expression(rng)
            if text in seen:
                continue
            seen.add(text)
            variables = {name: instant(rng) for name in NAMES}
            used = {name: at.isoformat() for name, at in variables.items() if name in text or name == "timestamp"}
            line = {"e": text, "v": used, "r": answer(text, variables)}
            out.write((json.dumps(line, separators=(",", ":")) + "\n").encode())


if __name__ == "__main__":
    main()
