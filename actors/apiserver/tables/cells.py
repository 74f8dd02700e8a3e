"""What cells of several kinds have in common: columns, ages, lists that are cut."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from actors.apiserver.elapsed import Elapsed, since
from protocols.objects import Object
from protocols.rules.selectors import InvalidSelector, format_label_selector

NONE, UNSET = "<none>", "<unset>"
_LISTED_MAX = 3

_DESCRIPTIONS = {
    "Name": "Name must be unique within a namespace.",
    "Age": "How long ago the object was created.",
    "Created At": "When the object was created.",
    "Containers": "Names of each container in the template.",
    "Images": "Images referenced by each container in the template.",
    "Selector": "Which pods belong to it.",
}


class Columns:
    """Column definitions from short forms: `+` makes a column wide (priority 1), `:integer` says its type."""

    def __init__(self, *columns: str) -> None:
        self.definitions = [self._definition(column) for column in columns]

    @staticmethod
    def _definition(column: str) -> dict[str, Any]:
        name, _, kind = column.removeprefix("+").partition(":")
        return {
            "name": name,
            "type": kind or "string",
            "format": "name" if name == "Name" else "",
            "description": _DESCRIPTIONS.get(name, f"{name} of the object."),
            "priority": 1 if column.startswith("+") else 0,
        }


class Printer(NamedTuple):
    """One kind: its columns, and the cells of one object, in the columns' order; where one is a duration until now,
    it is an Elapsed."""

    columns: Columns
    cells: Callable[[Object], list[Any]]


def age(obj: Object) -> Elapsed | str:
    return since((obj.get("metadata") or {}).get("creationTimestamp"))


def shown_labels(labels: Mapping[str, str] | None) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items())) or NONE


def shown_selector(selector: Mapping[str, Any] | None) -> str:
    if selector is None:
        return NONE
    try:
        return format_label_selector(selector) or NONE
    except (InvalidSelector, KeyError):
        return "<invalid>"


def containers_and_images(template: Mapping[str, Any] | None) -> list[str]:
    containers: Sequence[Mapping[str, Any]] = ((template or {}).get("spec") or {}).get("containers") or ()
    names = (container.get("name") or "" for container in containers)
    images = (container.get("image") or "" for container in containers)
    return [",".join(names), ",".join(images)]


def cut(items: Iterable[str], empty: str = NONE) -> str:
    """The first three, and how many more."""
    listed = list(items)
    shown = ",".join(listed[:_LISTED_MAX])
    more = len(listed) - _LISTED_MAX
    return f"{shown} + {more} more..." if more > 0 else shown or empty


def name_of_row(obj: Object) -> str:
    return (obj.get("metadata") or {}).get("name") or ""
