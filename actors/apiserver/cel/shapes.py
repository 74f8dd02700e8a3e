"""Where in what a schema describes there are lists that are sets or maps."""

from __future__ import annotations

from actorkube.cel.list_types import Shape
from actors.apiserver.cel.declared import escape, fields_of, spellings
from actors.apiserver.custom.structural import Node


def shape_of(node: Node, root: bool = False) -> Shape | None:
    """None where there is nothing but what CEL knows."""
    if node.type == "array" and node.items is not None:
        list_type, rest = node.list_type if node.list_type in ("set", "map") else "", shape_of(node.items)
        keys = tuple(escape(key) for key in node.keys)
        return Shape(list_type, keys, rest) if list_type or rest is not None else None
    if node.type != "object":
        return None
    if isinstance(node.rest, Node):
        rest = shape_of(node.rest)
        return Shape(rest=rest) if rest is not None else None
    found = {spelt: shape_of(below) for name, below in fields_of(node, root) for spelt in spellings(name)}
    fields = {name: shape for name, shape in found.items() if shape is not None}
    return Shape(fields=fields) if fields else None
