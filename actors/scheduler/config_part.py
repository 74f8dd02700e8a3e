"""A configuration file in pieces that know their lines, so that what is wrong is said with its place."""

from __future__ import annotations

from typing import Any

import yaml

from actorkube.runtime.duration import parse_duration

WEIGHT_MAX = 100
WHOLE_MAX = 2**31 - 1  # of an int32


class ConfigError(ValueError):
    """`FILE:LINE: what is wrong`."""


class Part:
    """A piece of the file that knows its line. `value` is plain data."""

    def __init__(self, node: yaml.Node, source: str) -> None:
        self.node = node
        self.source = source
        loader = yaml.SafeLoader("")
        self.value: Any = loader.construct_document(node)

    def wrong(self, problem: str) -> ConfigError:
        return ConfigError(self.at(problem))

    def at(self, remark: str) -> str:
        """A remark with its place."""
        return f"{self.source}:{self.node.start_mark.line + 1}: {remark}"

    def fields(self, *known: str) -> dict[str, Part]:
        """Its fields, which must be among those known."""
        if not isinstance(self.node, yaml.MappingNode):
            raise self.wrong("fields are expected here")
        found = {}
        for key, value in self.node.value:
            name = str(key.value)
            if known and name not in known:
                raise Part(key, self.source).wrong(f"unknown field {name!r}; there are {', '.join(known)}")
            if name in found:
                raise Part(key, self.source).wrong(f"{name} is there twice")
            found[name] = Part(value, self.source)
        return found

    def named(self, *known: str) -> dict[str, Part]:
        """Its fields, which must be among those known, of something that has a name."""
        fields = self.fields("name", *known)
        if "name" not in fields:
            raise self.wrong("name is missing")
        return fields

    def arguments(self) -> dict[str, Any]:
        """What is written there, by name, as plain data."""
        return {name: part.value for name, part in self.fields().items()}

    def items(self) -> list[Part]:
        if not isinstance(self.node, yaml.SequenceNode):
            raise self.wrong("a list is expected here")
        return [Part(item, self.source) for item in self.node.value]

    def text(self) -> str:
        if not isinstance(self.value, str) or not self.value:
            raise self.wrong("text is expected here")
        return self.value

    def number(self, least: int, most: int) -> int:
        if not isinstance(self.value, int) or isinstance(self.value, bool) or not least <= self.value <= most:
            raise self.wrong(f"a whole number from {least} to {most} is expected here, not {self.value!r}")
        return self.value

    def one_of(self, *choices: str) -> str:
        if self.value not in choices:
            raise self.wrong(f"{self.value!r} is none of {', '.join(choices)}")
        return str(self.value)

    def duration_s(self) -> float:
        try:
            seconds = parse_duration(self.text())
        except ValueError as error:
            raise self.wrong(str(error)) from None
        if seconds <= 0:
            raise self.wrong("a time greater than zero is expected here")
        return seconds

    def flag(self) -> bool:
        if not isinstance(self.value, bool):
            raise self.wrong("true or false is expected here")
        return self.value
