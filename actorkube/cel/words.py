"""What cel-cpp says of an expression, in the words of cel-go, which is what Kubernetes uses."""

from __future__ import annotations

import re

_NOISE = re.compile(r"^(?!ERROR)[A-Z_]+: | not found in struct '[^']*'| \[[A-Z_]+\]$")
_WORDS = (
    (
        re.compile(r"expression of type '([^']*)' cannot be the operand of a select operation"),
        r"type '\1' does not support field selection",
    ),
    (re.compile(r"has\(\) argument must be a field selection"), "invalid argument to has() macro"),
    (re.compile(r"cannot be the range of a comprehension"), "cannot be range of a comprehension"),
    (re.compile(r"\w+\(\) variable name must be a simple identifier"), "argument must be a simple name"),
    (re.compile(r"\bnull_type\b"), "null"),
)
_OVERLOAD = re.compile(r"(ERROR: <input>:(\d+):(\d+): found no matching overload for '(\w+)' applied to ')\((.*?)\)'")


def explained(said: str, text: str = "") -> str:
    """`text`: the expression, where it is known."""
    previous = ""
    while previous != said:
        previous, said = said, _NOISE.sub("", said)
    for pattern, words in _WORDS:
        said = pattern.sub(words, said)
    return _OVERLOAD.sub(lambda found: _of_call(found, text), said)


def located(text: str, offset: int, problem: str) -> str:
    """As cel-go shows where in the expression a problem is."""
    before = text[:offset].split("\n")
    line, column = len(before), len(before[-1])
    shown = text.split("\n")[line - 1]
    return f"ERROR: <input>:{line}:{column + 1}: {problem}\n | {shown}\n | {'.' * column}^"


def _of_call(found: re.Match[str], text: str) -> str:
    """Of what is called as `x.f(y)` the type of x stands before the dot, too."""
    before, line, column, name, types = found.groups()
    lines = text.split("\n")
    upto = lines[int(line) - 1][: int(column) - 1] if int(line) <= len(lines) else ""
    if not re.search(rf"\.\s*{name}\s*$", upto):
        return found[0]
    target, rest = _first(types)
    return f"{before}{target}.({rest})'"


def _first(types: str) -> tuple[str, str]:
    depth = 0
    for place, letter in enumerate(types):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and not depth:
            return types[:place], types[place + 1 :].strip()
    return types, ""
