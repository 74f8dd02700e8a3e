"""What `kubectl get` shows of a custom resource: its name, and what its definition's columns point at by JSONPath."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from actors.apiserver.elapsed import Elapsed, since
from actors.apiserver.tables.cells import Columns, Printer, name_of_row
from protocols.objects import Object

Step = Callable[[Any], Iterator[Any]]

_STEP = re.compile(
    r"""\.(?P<field>(?:\\.|[^.\[\]\\])+)
      | \[(?P<index>-?\d+)\]
      | \[(?P<quote>['"])(?P<quoted>.*?)(?P=quote)\]
      | (?P<all>\[\*\]|\.\*)
      | \[\?\(@(?P<at>[^=!<>]*?)\s*(?:(?P<op>==|!=)\s*(?P<value>'[^']*'|"[^"]*"|[^)\s]+)\s*)?\)\]""",
    re.VERBOSE,
)
_AGE = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}


class NoPath(ValueError):
    """The text is no JSONPath that columns can be made of."""


def printer_of(columns: Sequence[dict[str, Any]]) -> Printer:
    """The printer of a version's additionalPrinterColumns; without any it shows the age."""
    columns = columns or (_AGE,)
    shown = Columns("Name")
    shown.definitions = [*shown.definitions, *(_definition(column) for column in columns)]
    readers = [_cell(column.get("type") or "string", path(column["jsonPath"])) for column in columns]

    def cells(obj: Object) -> list[Any]:
        return [name_of_row(obj), *(read(obj) for read in readers)]

    return Printer(shown, cells)


def path(text: str) -> Callable[[Any], list[Any]]:
    """What a simple JSONPath (`.status.conditions[?(@.type=="Ready")].status`) finds. Raises NoPath."""
    steps: list[Step] = []
    position = 0
    while position < len(text):
        match = _STEP.match(text, position)
        if match is None or match.end() == position:
            raise NoPath(f"unexpected {text[position:]!r}")
        steps.append(_step(match))
        position = match.end()

    def find(value: Any) -> list[Any]:
        found = [value]
        for step in steps:
            found = [below for each in found for below in step(each)]
        return found

    return find


def _step(match: re.Match[str]) -> Step:
    if match["index"] is not None:
        return lambda value: _at(value, int(match["index"]))
    if match["all"]:
        return _all
    if match["at"] is not None:
        return _filter(match["at"].strip(), match["op"], match["value"])
    name = match["quoted"] if match["quoted"] is not None else re.sub(r"\\(.)", r"\1", match["field"])
    return lambda value: iter([value[name]] if isinstance(value, dict) and name in value else [])


def _at(value: Any, index: int) -> Iterator[Any]:
    if isinstance(value, list) and -len(value) <= index < len(value):
        yield value[index]


def _all(value: Any) -> Iterator[Any]:
    yield from value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _filter(at: str, operator: str | None, literal: str | None) -> Step:
    find = path(at)
    wanted = literal.strip("'\"") if literal is not None else ""

    def fits(item: Any) -> bool:
        found = find(item)
        if operator is None:
            return bool(found)
        equal = any(_text(each) == wanted for each in found)
        return equal == (operator == "==")

    return lambda value: (item for item in _all(value) if fits(item))


def _definition(column: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": column["name"],
        "type": column.get("type") or "string",
        "format": column.get("format") or "",
        "description": column.get("description")
        or f"Custom resource definition column (in JSONPath format): {column['jsonPath']}",
        "priority": column.get("priority") or 0,
    }


def _cell(kind: str, find: Callable[[Any], list[Any]]) -> Callable[[Object], Any]:
    def cell(obj: Object) -> Any:
        found = [value for value in find(obj) if value is not None]
        if not found:
            return None
        match kind:
            case "string":
                return _text(found[0])  # as Kubernetes, which expects paths to find one thing
            case "date":
                return _age(found[0])
            case "integer":
                return int(found[0]) if isinstance(found[0], int | float) else None
            case "number":
                return found[0] if isinstance(found[0], int | float) else None
            case "boolean":
                return found[0] if isinstance(found[0], bool) else None
        return None

    return cell


def _age(value: Any) -> Elapsed | str:
    try:
        return since(value)
    except (ValueError, TypeError):
        return "<invalid>"


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
