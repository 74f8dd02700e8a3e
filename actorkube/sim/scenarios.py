"""Scenarios by name: what a sweep runs, a recording names, and a command line repeats.

A scenario is a coroutine function that is given a `World` (and options as keyword arguments), or a `Scenario`, which
says more about it. Its name is where it is: `package.module:function`. Installed packages may give theirs shorter
names, as entry points of the group `actorkube.scenarios`.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

GROUP = "actorkube.scenarios"


class UnknownScenario(Exception):
    """There is none of that name. The message says what was looked for."""


@dataclass(frozen=True)
class Scenario:
    """`world` are options of World; `must_reach` are probes that a sweep must have reached, or it fails."""

    run: Callable[..., Coroutine[Any, Any, Any]]
    world: Mapping[str, Any] = field(default_factory=dict)
    for_s: float = 3600.0
    must_reach: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Its first line, for a list."""
        return (inspect.getdoc(self.run) or "").partition("\n")[0]


def find(name: str) -> Scenario:
    """Raises UnknownScenario."""
    found = look_up(installed().get(name, name))
    if isinstance(found, Scenario):
        return found
    if not inspect.iscoroutinefunction(found):
        raise UnknownScenario(f"{name} is no scenario, nor a coroutine function that is given a world")
    return Scenario(found)


def unknown_option(scenario: Scenario, options: Iterable[str]) -> str:
    """What is wrong with the names of options, for people; empty if nothing is."""
    known = list(inspect.signature(scenario.run).parameters.values())[1:]  # behind the world
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in known):
        return ""
    names = [parameter.name for parameter in known]
    wrong = next((option for option in options if option not in names), None)
    return "" if wrong is None else f"the scenario has no option {wrong!r}; it has {', '.join(names) or 'none'}"


def look_up(place: str) -> Any:
    """What stands at `package.module:name`. Raises UnknownScenario."""
    module_name, colon, attribute = place.partition(":")
    if not (module_name and colon and attribute):
        raise UnknownScenario(f"{place!r} is neither a short name nor of the form package.module:name")
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module is there, and misses another
        raise UnknownScenario(f"there is no module {module_name}") from error
    for part in attribute.split("."):
        found = getattr(found, part, None)
        if found is None:
            raise UnknownScenario(f"{module_name} has no {attribute}")
    return found


def installed() -> dict[str, str]:
    """The short names that installed packages give to their scenarios."""
    return {entry.name: entry.value for entry in importlib.metadata.entry_points(group=GROUP)}
