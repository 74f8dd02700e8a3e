"""Regular expressions of other people, in Go's syntax: RE2 takes time in proportion to the text, whatever the pattern.

(github.com/google/re2/wiki/Syntax; Python's own engine can take forever on a short text.)
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Protocol

# What Go's time.ParseDuration takes.
GO_DURATION = r"[+-]?(0|(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|\x{b5}s|\x{3bc}s|ms|s|m|h))+)"
_KEPT_MAX = 4096
_MEMORY_BYTES_MAX = 8 * 1024 * 1024  # of one pattern: RE2's own limit


class Match(Protocol):
    def __getitem__(self, group: int) -> str: ...


class Pattern(Protocol):
    def search(self, text: str) -> Match | None: ...
    def finditer(self, text: str) -> Iterator[Match]: ...


class BadPattern(ValueError):
    """The message says what is wrong with it."""


@lru_cache(maxsize=_KEPT_MAX)
def compiled(text: str) -> Pattern:
    """Raises BadPattern."""
    import re2  # when somebody has a pattern

    options = re2.Options()
    options.max_mem = _MEMORY_BYTES_MAX
    options.log_errors = False
    try:
        pattern: Pattern = re2.compile(text, options)
    except re2.error as error:
        said = error.args[0] if error.args else ""
        raise BadPattern(said.decode(errors="replace") if isinstance(said, bytes) else str(said)) from None
    return pattern
