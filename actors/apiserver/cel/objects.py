"""Objects that an expression builds: `Object{spec: Object.spec{replicas: 3}}` and `JSONPatch{op: "test", ...}`.

To cel-cpp a message must be declared with its fields, and an object of any kind has none that are known. So what builds
one is written anew as a map before it is compiled: `{"spec": {"replicas": 3}}`. That the type of each part names the
place where it stands is checked here, as Kubernetes checks it (KEP-3962).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

OBJECT, JSON_PATCH = "Object", "JSONPatch"
_PATCH_FIELDS = frozenset({"op", "path", "from", "value"})
_DEPTH_MAX = 64
_TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*)
      | (?P<text>(?:[rR][bB]?|[bB][rR]?)?(?:\"\"\"(?:\\.|[^\\])*?\"\"\"|'''(?:\\.|[^\\])*?'''
                 |"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
      | (?P<type>(?<![\w.])(?:Object|JSONPatch)(?:\s*\.\s*[A-Za-z_]\w*)*(?=\s*\{))
      | (?P<name>`[^`\n]*`|[A-Za-z_]\w*)
      | (?P<other>\d[\w.]*|.)""",
    re.VERBOSE | re.DOTALL,
)
_OPEN, _CLOSE = ("{", "[", "("), ("}", "]", ")")


class BadObject(ValueError):
    """The message says what is built wrongly."""


class _Token(NamedTuple):
    kind: str
    text: str


@lru_cache(maxsize=1024)
def as_maps(text: str) -> str:
    """The expression with every object that it builds as a map. Raises BadObject."""
    if OBJECT not in text and JSON_PATCH not in text:
        return text
    written: list[str] = []
    levels: list[str] = []  # of brackets: what each pair builds, "" where nothing of ours
    expected = opening = ""  # what must be built here, after the name of a field; what the next bracket builds
    tokens = list(_tokens(text))
    for index, token in enumerate(tokens):
        if token.kind == "type":
            _check_place(token.text, expected)
            opening = token.text
            continue
        if token.kind == "name" and levels and levels[-1] and _is_field(tokens, index):
            name = token.text.strip("`")
            expected = _field(levels[-1], name)
            written.append(f'"{name}"')
            continue
        if token.text in _OPEN:
            levels.append(opening)
            opening = ""
            if len(levels) > _DEPTH_MAX:
                raise BadObject(f"an object must not be nested deeper than {_DEPTH_MAX} levels")
        elif token.text in _CLOSE and levels:
            levels.pop()
        if token.text not in (" ", ":"):
            expected = ""
        written.append(token.text)
    return "".join(written)


def _tokens(text: str) -> Iterator[_Token]:
    for match in _TOKEN.finditer(text):
        kind = str(match.lastgroup)
        if kind == "space":
            yield _Token("space", " ")
        elif kind == "type":
            yield _Token(kind, re.sub(r"\s", "", match.group()))
        else:
            yield _Token(kind, match.group())


def _is_field(tokens: list[_Token], index: int) -> bool:
    """Whether a name is that of a field: after `{` or `,`, an optional one after a `?` there, and before a `:`."""
    before = [token.text for token in reversed(tokens[:index]) if token.kind != "space"][:2]
    after = next((token.text for token in tokens[index + 1 :] if token.kind != "space"), "")
    if before[:1] == ["?"]:
        before = before[1:]
    return after == ":" and before[:1] in (["{"], [","])


def _field(type: str, name: str) -> str:
    """The type that is built below a field. Raises BadObject for a field that a JSON patch does not have."""
    if type == JSON_PATCH:
        if name not in _PATCH_FIELDS:
            raise BadObject(f"undefined field '{name}'")
        return ""
    return f"{type}.{name}"


def _check_place(type: str, expected: str) -> None:
    """`Object.spec` belongs below the field `spec` of an `Object`; in a list, or on its own, it may stand anywhere."""
    if type.startswith(f"{JSON_PATCH}."):
        raise BadObject(f"undefined type '{type}'")
    if expected and type != expected:
        raise BadObject(f"expected type of field to be '{expected}' but provided type is '{type}'")
