"""A structural schema, compiled: what an object of a custom resource may contain, and what is filled in.

A `Node` is one place in the object. Three walks go over it: `prune` takes out what is not specified, `fill` puts in
defaults, `errors` (judge.py) says what is wrong. They never look at the JSON of the schema again.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, Literal

from actorkube.cel.patterns import BadPattern, Pattern, compiled
from actors.apiserver.custom.formats import known

JsonSchema = dict[str, Any]

UNKNOWN_MAX = 100  # as many as Kubernetes lists
OWN_FIELDS = frozenset({"apiVersion", "kind", "metadata"})
INT_OR_STRING = [{"type": "integer"}, {"type": "string"}]

_MISSING: Any = object()
_CHOOSY = ("enum", "maxLength", "minLength", "pattern", "minimum", "maximum", "multipleOf")
_CLASSES: dict[str, type] = {
    "array": list,
    "boolean": bool,
    "integer": int,
    "number": float,
    "object": dict,
    "string": str,
}


class Node:
    """`rest` is the node of fields that have no property of their own (True: anything goes, None: there are none).

    `lists` and `embeds`: whether here or below there are lists that are sets or maps, and objects within the object.
    `exact`: the class of values of which nothing but what is in them is to be checked; None where there is more.
    """

    __slots__ = (
        "all_of",
        "any_of",
        "default",
        "embedded",
        "embeds",
        "exact",
        "fills",
        "format",
        "int_or_string",
        "items",
        "keys",
        "list_type",
        "lists",
        "negated",
        "nullable",
        "one_of",
        "pattern",
        "preserves",
        "properties",
        "required",
        "rest",
        "schema",
        "type",
    )

    def __init__(self, schema: JsonSchema) -> None:
        self.schema = schema
        self.type: str = schema.get("type") or ""
        self.nullable = bool(schema.get("nullable"))
        self.default: Any = schema["default"] if schema.get("default") is not None else _MISSING
        self.embedded = bool(schema.get("x-kubernetes-embedded-resource"))
        self.preserves = bool(schema.get("x-kubernetes-preserve-unknown-fields"))
        self.int_or_string = bool(schema.get("x-kubernetes-int-or-string"))
        self.list_type: str = schema.get("x-kubernetes-list-type") or ""
        self.keys: tuple[str, ...] = tuple(schema.get("x-kubernetes-list-map-keys") or ())
        self.required: tuple[str, ...] = tuple(schema.get("required") or ())
        self.properties = {name: Node(below) for name, below in (schema.get("properties") or {}).items()}
        self.items = Node(schema["items"]) if isinstance(schema.get("items"), dict) else None
        self.rest: Node | Literal[True] | None = _rest(schema.get("additionalProperties"))
        self.pattern = _compiled(schema.get("pattern") or "")
        self.all_of = [Node(each) for each in schema.get("allOf") or ()]
        self.any_of = [Node(each) for each in schema.get("anyOf") or ()]
        self.one_of = [Node(each) for each in schema.get("oneOf") or ()]
        self.negated = Node(schema["not"]) if schema.get("not") is not None else None
        self.format = known(schema.get("format") or "", "" if self.int_or_string else self.type)
        self.exact: type | None = None if self.int_or_string or self._is_choosy() else _CLASSES.get(self.type)
        self.fills = self._fills()
        self.lists: bool = self.list_type in ("set", "map") or any(node.lists for node in self._within())
        self.embeds: bool = self.embedded or any(node.embeds for node in self._within())

    @property
    def has_default(self) -> bool:
        return self.default is not _MISSING

    def below(self, field: str) -> Node | None:
        """The node of a field that is specified, by its name or as one of many."""
        return self.properties.get(field) or (self.rest if isinstance(self.rest, Node) else None)

    def _is_choosy(self) -> bool:
        """Whether not every value of the type will do; how many there are in a list or object is looked at anyway."""
        schemas = self.all_of or self.any_of or self.one_of or self.negated is not None
        return bool(schemas or self.format or any(self.schema.get(name) is not None for name in _CHOOSY))

    def _fills(self) -> bool:
        """Whether `fill` has anything to do here or below."""
        return any(node.has_default or not node.nullable or node.fills for node in self._within())

    def _within(self) -> list[Node]:
        nodes = [*self.properties.values(), self.items, self.rest]
        return [node for node in nodes if isinstance(node, Node)]


def _rest(schema: JsonSchema | bool | None) -> Node | Literal[True] | None:
    if schema is True or schema == {}:
        return True
    return Node(schema) if isinstance(schema, dict) else None


def _compiled(pattern: str) -> Pattern | None:
    """A definition whose pattern is none is refused; in one that was stored before, it checks nothing."""
    if not pattern:
        return None
    try:
        return compiled(pattern)
    except BadPattern:
        return None


def prune(node: Node, obj: dict[str, Any]) -> list[str]:
    """Take out what is not specified, in place; the answer is the paths of what went."""
    gone: list[str] = []
    _prune_object(node, obj, "", gone, root=True)
    return sorted(gone)


def _prune(node: Node | None, value: Any, path: str, gone: list[str]) -> None:
    if isinstance(value, dict):
        _prune_object(node, value, path, gone, root=node is not None and node.embedded)
    elif isinstance(value, list):
        below = node.items if node is not None else None
        if below is None and node is not None and node.preserves:
            return
        for index, item in enumerate(value):
            _prune(below, item, f"{path}[{index}]", gone)


def _prune_object(node: Node | None, obj: dict[str, Any], path: str, gone: list[str], *, root: bool = False) -> None:
    for field in list(obj):
        if root and field in OWN_FIELDS:
            continue
        at = f"{path}.{field}" if path else field
        below = node.below(field) if node is not None else None
        if below is not None:
            _prune(below, obj[field], at, gone)
        elif node is None or not (node.preserves or node.rest is True):
            del obj[field]
            if len(gone) < UNKNOWN_MAX:
                gone.append(at)


def fill(node: Node, value: Any) -> None:
    """Defaults where nothing is said, in place; a null where none may be is nothing. Twice is as good as once."""
    if not node.fills:
        return
    if isinstance(value, dict):
        for field in [field for field, below in value.items() if below is None]:
            expected = node.below(field)
            if expected is not None and not (expected.nullable or (expected.has_default and expected is node.rest)):
                del value[field]
        for field, below in node.properties.items():
            if below.has_default and field not in value:
                value[field] = copy.deepcopy(below.default)
        for field, item in value.items():
            expected = node.below(field)
            if expected is not None:
                value[field] = _filled(expected, item)
    elif isinstance(value, list) and node.items is not None:
        value[:] = [_filled(node.items, item) for item in value]


def _filled(node: Node, value: Any) -> Any:
    if value is None and node.has_default and not node.nullable:
        value = copy.deepcopy(node.default)
    fill(node, value)
    return value


def has_rules(node: Node) -> bool:
    """Whether there is a rule (x-kubernetes-validations) here or below."""
    return any(below.schema.get("x-kubernetes-validations") for _, below in nodes(node, ""))


def nodes(node: Node, path: str) -> Iterator[tuple[str, Node]]:
    """Every place that is specified, with the path of its schema."""
    yield path, node
    for name, below in node.properties.items():
        yield from nodes(below, f"{path}.properties[{name}]")
    if node.items is not None:
        yield from nodes(node.items, f"{path}.items")
    if isinstance(node.rest, Node):
        yield from nodes(node.rest, f"{path}.additionalProperties")
