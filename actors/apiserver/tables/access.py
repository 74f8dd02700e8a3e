"""Accounts, roles and bindings."""

from __future__ import annotations

from typing import Any

from actors.apiserver.tables.cells import Columns, Printer, age, name_of_row
from protocols.objects import Object


def _role_binding(obj: Object) -> list[Any]:
    role = obj.get("roleRef") or {}
    subjects = obj.get("subjects") or ()
    named: dict[str, list[str]] = {"User": [], "Group": [], "ServiceAccount": []}
    for subject in subjects:
        name = subject.get("name") or ""
        if subject.get("kind") == "ServiceAccount" and subject.get("namespace"):
            name = f"{subject['namespace']}/{name}"
        named.get(subject.get("kind") or "", []).append(name)
    wide = [", ".join(names) for names in named.values()]
    return [name_of_row(obj), f"{role.get('kind', '')}/{role.get('name', '')}", age(obj), *wide]


def _created_at(obj: Object) -> list[Any]:
    return [name_of_row(obj), (obj.get("metadata") or {}).get("creationTimestamp") or ""]


ROLE_BINDING = Printer(Columns("Name", "Role", "Age", "+Users", "+Groups", "+ServiceAccounts"), _role_binding)
CREATED_AT = Printer(Columns("Name", "Created At:date"), _created_at)
