"""Query parameters, read as Kubernetes reads them; options.py says which may stand together."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from multidict import MultiMapping

from actors.apiserver.deletion import Deletion, deletion_of
from actors.apiserver.incoming import revision_named
from actors.apiserver.reads import CURRENT, Query
from actors.apiserver.schema.check import FieldValidation
from protocols.errors import BadRequest

if TYPE_CHECKING:
    from actors.apiserver.tables import Include

FIELD_VALIDATIONS = ("", "Ignore", "Strict", "Warn")
_NUMBER = re.compile(r"[+-]?[0-9]+", re.ASCII)
_DIGITS_MAX = 100  # far more than a number of 64 bits has
_DELETE_OPTIONS = {"gracePeriodSeconds": int, "orphanDependents": bool, "propagationPolicy": str}
_WRITE_OPTIONS = ("fieldManager", "fieldValidation")
_PRECONDITIONS = ("uid", "resourceVersion")


class Params:
    def __init__(self, query: Mapping[str, str]) -> None:
        self._query = query

    def watching(self) -> Params:
        """The same, of a watch."""
        return Params({**self._query, "watch": "true"})

    def has(self, name: str) -> bool:
        return name in self._query

    def options(self) -> dict[str, Any]:
        """Those of a write that were said, as its options object has them."""
        said: dict[str, Any] = {name: self._query[name] for name in _WRITE_OPTIONS if self._query.get(name)}
        return {**said, **({"dryRun": ["All"]} if self.dry_run else {})}

    def flag(self, name: str) -> bool:
        """Only absence, "false" and "0" are false: Go clients write true, Python ones True."""
        value = self._query.get(name)
        return value is not None and value.lower() not in ("false", "0")

    def optional_flag(self, name: str) -> bool | None:
        return self.flag(name) if name in self._query else None

    def text(self, name: str) -> str:
        return self._query.get(name, "")

    def texts(self, name: str) -> list[str]:
        """All of them, of what may be said more than once."""
        query = self._query
        if isinstance(query, MultiMapping):
            return list(query.getall(name, ()))
        return [query[name]] if name in query else []

    def number(self, name: str, default: int = 0) -> int:
        """Raises BadRequest as Go's ParseInt does."""
        text = self._query.get(name)
        if text is None:
            return default
        if not _NUMBER.fullmatch(text):
            raise BadRequest(f'strconv.ParseInt: parsing "{text}": invalid syntax')
        if len(text) > _DIGITS_MAX or not -(2**63) <= int(text) < 2**63:
            raise BadRequest(f'strconv.ParseInt: parsing "{text}": value out of range')
        return int(text)

    @property
    def dry_run(self) -> bool:
        return self.text("dryRun") == "All"

    @property
    def field_validation(self) -> FieldValidation:
        value = self.text("fieldValidation") or "Warn"
        return cast(FieldValidation, value if value in FIELD_VALIDATIONS else "Warn")

    @property
    def include_object(self) -> Include:
        value = self.text("includeObject") or "Metadata"
        if value not in ("Metadata", "Object", "None"):
            problem = "must be 'Metadata', 'Object', 'None', or empty"
            why = f'includeObject: Invalid value: "{value}": {problem}'
            raise BadRequest(f"Unable to convert to Table as requested: {why}")
        return cast("Include", value)

    @property
    def revision(self) -> int:
        """CURRENT where no resourceVersion is given."""
        text = self.text("resourceVersion")
        return revision_named(text) if text else CURRENT

    def query(self, name: str = "") -> Query:
        """The query of a list or watch; `name` narrows it to one object."""
        fields = self.text("fieldSelector")
        if name:
            fields = f"metadata.name={name},{fields}".rstrip(",")
        token = self.text("continue")
        if token and self.text("resourceVersion") not in ("", "0"):
            raise BadRequest("specifying resource version is not allowed when using continue")
        revision, limit, match = self.revision, max(0, self.number("limit")), self.text("resourceVersionMatch")
        # A page of a version that is named was one of that very version before there was a way to say so.
        exact = match == "Exact" or (not match and limit > 0 and revision > 0)
        return Query(self.text("labelSelector"), fields, limit, token, revision, exact)

    def deletion(self) -> Deletion:
        """What a DELETE without a body asks for. The query of a collection's is read twice: for what is to be listed,
        and for what is to be the case of each."""
        return deletion_of(self.delete_options())

    def delete_options(self) -> dict[str, Any]:
        """The DeleteOptions that the query is."""
        stated = {name: self.text(name) for name in _PRECONDITIONS if self.text(name)}
        found: dict[str, Any] = {"preconditions": stated} if stated else {}
        for name, kind in _DELETE_OPTIONS.items():
            if name in self._query:
                found[name] = self.number(name) if kind is int else self.flag(name) if kind is bool else self.text(name)
        return found
