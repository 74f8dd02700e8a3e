"""JSON merge patch (RFC 7386): objects are merged, null removes, everything else replaces."""

from __future__ import annotations

from typing import Any


def merge_patch(target: Any, patch: Any) -> Any:
    """Neither is changed. The result shares what is not patched with `target`, and nothing that a caller could change
    with `patch`."""
    if not isinstance(patch, dict):
        return _copied(patch)
    merged = {**target} if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def _copied(value: Any) -> Any:
    """Below a list nothing is merged, and null is a value like another."""
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value
