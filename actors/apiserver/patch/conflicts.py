"""The answer to an apply that would change what others set."""

from __future__ import annotations

from actors.apiserver.patch.fields import FieldSet, paths, show_path
from actors.apiserver.patch.managers import Manager
from protocols.errors import Conflict

Conflicts = dict[Manager, FieldSet]


def conflict_error(conflicts: Conflicts) -> Conflict:
    """409 with one cause a field; kubectl shows the message, and says how to go on."""
    shown = {str(manager): [show_path(path) for path in paths(fields)] for manager, fields in conflicts.items()}
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {manager}", "field": field}
        for manager, fields in sorted(shown.items())
        for field in fields
    ]
    return Conflict(_message(shown, len(causes)), {"causes": causes})


def _message(shown: dict[str, list[str]], count: int) -> str:
    if count == 1:
        ((manager, (field,)),) = shown.items()
        return f"Apply failed with 1 conflict: conflict with {manager}: {field}"
    lines = []
    for manager, fields in sorted(shown.items()):
        lines.append(f"conflicts with {manager}:")
        lines += [f"- {field}" for field in fields]
    return f"Apply failed with {count} conflicts: " + "\n".join(lines)
