"""What an admission plugin is told: one change that somebody asked for, and what else is stored.

A plugin that mutates changes `attributes.obj`, which is its own to change; one that validates raises a StatusError, or
adds a warning. Neither writes, waits, or looks at the clock: asked twice it answers twice the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from actors.apiserver.admission.stored import Stored
from actors.apiserver.answers import forbidden
from actors.apiserver.callers import Caller
from actors.apiserver.schema.resources import Resource
from protocols.errors import Forbidden
from protocols.objects import Object, meta, name_of

Operation = Literal["CREATE", "UPDATE", "DELETE", "CONNECT"]


@dataclass(slots=True)
class Attributes:
    """`obj`: what shall be stored, {} on a delete; `old`: what is stored, {} on a create. For a connection `obj` is its
    options, which have no metadata, and `named` what it goes to.

    `resource`: whose rules hold; `requested`: the version in which it was asked for.
    """

    operation: Operation
    resource: Resource
    namespace: str
    caller: Caller
    obj: Object
    old: Object = field(default_factory=dict)
    subresource: str = ""
    dry_run: bool = False
    warnings: list[str] = field(default_factory=list)
    asked_for: Resource | None = None
    annotations: dict[str, str] | None = None  # what an audit says of this change; None where there is none
    named: str = ""
    options: Object = field(default_factory=dict)  # of the request

    @property
    def requested(self) -> Resource:
        return self.asked_for or self.resource

    @property
    def name(self) -> str:
        obj = self.obj or self.old
        return self.named or name_of(obj) or str(meta(obj).get("generateName", ""))

    def refusal(self, why: str) -> Forbidden:
        """`pods "web" is forbidden: <why>`."""
        return forbidden(self.resource, self.name, why)

    def annotate(self, key: str, value: str) -> None:
        """For the audit log. What was said first stays, as in Kubernetes."""
        if self.annotations is not None:
            self.annotations.setdefault(key, value)

    def warn(self, warning: str) -> None:
        if warning not in self.warnings:
            self.warnings.append(warning)


Plugin = Callable[[Attributes, Stored], None]
