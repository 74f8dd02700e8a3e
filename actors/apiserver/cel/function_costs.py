"""What Kubernetes' own functions, and those of CEL's extensions, cost, and how large what they give can be.

(k8s.io/apiserver/pkg/cel/library/cost.go; each row gives what its estimate gives. What parses a quantity or an address
is not among them: Kubernetes estimates it at 1.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

_TRAVERSAL, _REGEX = 0.1, 0.25
_CHECK = 350_000  # the question to an authoriser: two of them are allowed in one expression
_NUMBER_MAX = 64  # characters of a number as a text
_IP_BYTES = 16
OWN = "kubernetes."  # begins the names of Kubernetes' own types: two quantities or addresses are compared at once
FORMAT_COST = 7  # a format has 64 characters at most


class Call(NamedTuple):
    function: str
    overload: str
    target: Any | None
    args: Sequence[Any]


class Cost(NamedTuple):
    """`size` of the result, None where nothing is known of it."""

    cost: int
    size: int | None = None


class Counting(Protocol):
    def size(self, expr: Any) -> int: ...
    def known_size(self, expr: Any) -> int | None: ...
    def element_size(self, expr: Any) -> int | None: ...


Count = Callable[[Counting, Call], Cost | None]


def _times(size: int, factor: float) -> int:
    return math.ceil(size * factor)


def _nominal(sizes: Counting, call: Call) -> Cost:
    return Cost(1)


def _over_items(sizes: Counting, call: Call) -> Cost | None:
    if call.target is None:
        return None
    element = sizes.element_size(call.target)
    if element is None:  # indexOf of a text
        return Cost(_times(sizes.size(call.target), _TRAVERSAL))
    return Cost(sizes.size(call.target) * (1 + _times(element, _TRAVERSAL)))


def _over_text(sizes: Counting, call: Call) -> Cost | None:
    text = call.target if call.target is not None else call.args[0]
    return Cost(_times(sizes.size(text), _TRAVERSAL))


def _same_length(sizes: Counting, call: Call) -> Cost | None:
    if call.target is None:
        return None
    size = sizes.size(call.target)
    return Cost(_times(size, _TRAVERSAL), size)


def _replaced(sizes: Counting, call: Call) -> Cost | None:
    if call.target is None or len(call.args) < 2:
        return None
    size, by = sizes.size(call.target), sizes.size(call.args[1])
    least = _least(call.args[0])
    if not least:  # an empty text is between all characters
        longest = (size + 1) * by + size
    elif by <= least:
        longest = size
    else:
        longest = math.ceil(size / least) * by
    return Cost(_times(size, 2 * _TRAVERSAL), longest)


def _split(sizes: Counting, call: Call) -> Cost | None:
    if call.target is None:
        return None
    size = sizes.size(call.target)
    return Cost(_times(size, 2 * _TRAVERSAL), size)


def _joined(sizes: Counting, call: Call) -> Cost | None:
    if call.target is None:
        return None
    count, element = sizes.size(call.target), sizes.element_size(call.target)
    size = count * (element or 0)
    if call.args:
        size += sizes.size(call.args[0]) * max(count - 1, 0)
    return Cost(_times(size, _TRAVERSAL), size)


def _found(sizes: Counting, call: Call) -> Cost | None:
    if call.target is None or not call.args:
        return None
    size = sizes.size(call.target)
    return Cost(_times(size + 1, _TRAVERSAL) * _times(sizes.size(call.args[0]), _REGEX), size)


def _canonical(sizes: Counting, call: Call) -> Cost:
    return Cost(_times(sizes.size(call.args[0]), 2 * _TRAVERSAL))


def _contains_ip(sizes: Counting, call: Call) -> Cost:
    return Cost(_times(2 * _IP_BYTES, _TRAVERSAL) + _text_arg(sizes, call))


def _contains_cidr(sizes: Counting, call: Call) -> Cost:
    return Cost(_times(2 * _IP_BYTES, _TRAVERSAL) + _times(_IP_BYTES, _TRAVERSAL) + 1 + _text_arg(sizes, call))


def _text_arg(sizes: Counting, call: Call) -> int:
    """What is given as a text is parsed first; a value of a type of Kubernetes' own has no size that is known."""
    size = sizes.known_size(call.args[0])
    return 0 if size is None else _times(size, _TRAVERSAL)


def _formatted(sizes: Counting, call: Call) -> Cost | None:
    """The result is as long as what it is made of; a number takes a few characters."""
    if call.target is None or not call.args:
        return None
    size = sizes.size(call.target)
    element = sizes.element_size(call.args[0])
    count = sizes.size(call.args[0])
    return Cost(_times(size, _TRAVERSAL), size + count * max(element or 0, _NUMBER_MAX))


def _quoted(sizes: Counting, call: Call) -> Cost | None:
    size = sizes.size(call.args[0])
    return Cost(_times(size, _TRAVERSAL), 2 * size + 2)


def _checked(sizes: Counting, call: Call) -> Cost:
    return Cost(_CHECK)


def _sets(sizes: Counting, call: Call) -> Cost | None:
    one, other = (sizes.size(each) for each in call.args[:2])
    return Cost(1 + one * other * (2 if call.function == "sets.equivalent" else 1))


def _least(expr: Any) -> int:
    """The least length of a text: of a constant its own, of any other nothing is known."""
    return len(expr.const_expr.string_value) if expr.WhichOneof("kind") == "const_expr" else 0


def _rows() -> dict[str, Count]:
    rows: list[tuple[str, Count]] = [
        ("isSorted sum max min indexOf lastIndexOf", _over_items),
        ("url", _over_text),
        ("lowerAscii upperAscii substring trim jsonpatch.escapeKey reverse", _same_length),
        ("replace", _replaced),
        ("split", _split),
        ("join", _joined),
        ("find findAll", _found),
        ("ip.isCanonical", _canonical),
        ("containsIP", _contains_ip),
        ("containsCIDR", _contains_cidr),
        ("format", _formatted),
        ("strings.quote", _quoted),
        ("sets.contains sets.intersects sets.equivalent", _sets),
        ("check", _checked),
        ("sign asInteger isInteger asApproximateFloat isGreaterThan isLessThan compareTo add sub", _nominal),
        ("masked prefixLength family isUnspecified isLoopback isLinkLocalMulticast isLinkLocalUnicast", _nominal),
    ]
    return {name: count for names, count in rows for name in names.split()}


COSTS = _rows()
