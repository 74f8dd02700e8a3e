"""Which paths belong to another server, and what each of these servers said last about what it serves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from actors.apiserver.admission.stored import Stored
from actors.apiserver.aggregation.services import Remote, remote_of
from actors.apiserver.cache import Cache
from protocols.rules.api_services import API_SERVICES, FarResource

_OPENAPI = "/openapi/v3"


@dataclass(frozen=True, slots=True)
class Said:
    """`resources`: of its APIResourceList; `openapi`: where its OpenAPI v3 document is, "" where it has none.

    `swagger`: its part of OpenAPI v2 (swagger.py), {} where it has none.
    """

    resources: list[dict[str, Any]] = field(default_factory=list)
    openapi: str = ""
    swagger: dict[str, Any] = field(default_factory=dict)


class Remotes:
    """A look-up costs the same however many there are. `said` is what they have said of themselves (`hear`)."""

    def __init__(self, cache: Cache, stored: Stored) -> None:
        self.said: dict[str, Said] = {}
        self._cached = cache.of(API_SERVICES)
        self._stored = stored
        self._seen = -1
        self._all: list[Remote] = []
        self._by_version: dict[tuple[str, str], Remote] = {}

    def all(self) -> Sequence[Remote]:
        """The preferred first."""
        if self._seen != self._cached.changes:
            self._seen = self._cached.changes
            found = (remote_of(obj) for obj in self._stored.of(API_SERVICES))
            remotes = [remote for remote in found if remote is not None]
            self._all = sorted(remotes, key=lambda each: (-each.priority[0], each.group, -each.priority[1], each.name))
            self._by_version = {(remote.group, remote.version): remote for remote in self._all}
        return self._all

    def hear(self, remote: Remote, said: Said) -> None:
        """What says the same as before stays what it is: documents that were made of it need not be made anew."""
        if self.said.get(remote.name) != said:
            self.said[remote.name] = said

    def swaggers(self) -> list[dict[str, Any]]:
        """Their parts of OpenAPI v2: the same objects as before where nothing has changed."""
        found = (self.said[each.name].swagger for each in self.all() if each.name in self.said)
        return [part for part in found if part]

    def serving(self, group_resource: str) -> tuple[Remote, FarResource] | None:
        """The preferred of those that serve it, as far as they were heard."""
        plural, _, group = group_resource.partition(".")
        found = ((remote, each) for remote in self.all() if remote.group == group for each in remote.resources)
        return next(((remote, each) for remote, each in found if each.plural == plural), None)

    def at(self, path: str) -> Remote | None:
        """Whose /apis/<group>/<version>, its OpenAPI document, or anything below that is."""
        if not self.all():
            return None
        parts = path.removeprefix(_OPENAPI).split("/", 4)
        if len(parts) < 4 or parts[0] or parts[1] != "apis":
            return None
        return self._by_version.get((parts[2], parts[3]))
