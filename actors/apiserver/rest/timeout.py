"""For how long a request may be carried out: `?timeout=`, a duration as Go writes it, and a minute at the most.

What goes on for as long as its client likes (watches, logs, connections) has no such bound, and its parameter is not
even read.
"""

from __future__ import annotations

import re

from actors.apiserver.access.attributes import Attributes
from actors.apiserver.rest.params import Params
from protocols.errors import BadRequest, Timeout

SECONDS_MAX = 60.0
_ENDLESS = ("attach", "exec", "log", "portforward", "proxy")
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)([^\d.]*)", re.ASCII)
_LENGTH_MAX = 100


def seconds_allowed(params: Params, asked: Attributes) -> float | None:
    """None where the client names no bound that counts. Raises BadRequest."""
    text = params.text("timeout")
    if not text or asked.verb == "watch" or asked.subresource in _ENDLESS:
        return None
    seconds = _duration(text)
    return min(seconds, SECONDS_MAX) if seconds > 0 else None


def not_in_time() -> Timeout:
    return Timeout("Timeout: request did not complete within the allotted timeout")


def _duration(text: str) -> float:
    rest = text.removeprefix("-") if text.startswith("-") else text.removeprefix("+")
    if rest == "0":
        return 0.0
    parts = _PART.findall(rest) if len(rest) <= _LENGTH_MAX else []
    if not parts or "".join(map("".join, parts)) != rest:
        raise _no_duration("invalid", text)
    for _, unit in parts:
        if unit not in _UNITS:
            raise _no_duration(f'unknown unit "{unit}" in' if unit else "missing unit in", text)
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    return -seconds if text.startswith("-") else seconds


def _no_duration(why: str, text: str) -> BadRequest:
    return BadRequest(f'invalid timeout specified in the request URL - time: {why} duration "{text}"')
