"""What a node may not say of itself: less than nothing of a resource, an address twice, features out of order."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from actors.apiserver.rules.field import FieldErrors, duplicate, invalid_value
from actors.apiserver.rules.validate.quotas import COUNTED
from actors.apiserver.rules.validate.resources import quantity
from protocols.objects import Object

_FEATURE = re.compile("[A-Z][A-Za-z0-9]*(/[A-Za-z0-9]+)*")
_FEATURE_RULE = (
    "must start with an UpperCamelCase segment, with subsequent segments separated by '/' (e.g., MyFeature or "
    "MyFeature/mySubFeature), and contain only alphanumeric characters and slashes"
)


def node_status(obj: Object, old: Object | None) -> FieldErrors:
    """Of a heartbeat, which leaves most as it is, only what differs is looked at."""
    status, before = obj.get("status") or {}, (old or {}).get("status") or {}
    yield from resources(status, before)
    if status.get("addresses") != before.get("addresses"):
        yield from _addresses(status.get("addresses") or ())
    yield from _features(status.get("declaredFeatures") or ())


def resources(status: Mapping[str, Any], before: Mapping[str, Any]) -> FieldErrors:
    for field in ("capacity", "allocatable"):
        if status.get(field) == before.get(field):
            continue
        for name, value in (status.get(field) or {}).items():
            yield from quantity(f"status.{field}.{name}", value, whole="/" in name or name in COUNTED)


def _addresses(addresses: Sequence[dict[str, Any]]) -> FieldErrors:
    seen: set[tuple[Any, Any]] = set()
    for index, address in enumerate(addresses):
        pair = address.get("type"), address.get("address")
        if pair in seen:
            shown = {"Type": pair[0] or "", "Address": pair[1] or ""}
            yield duplicate(f"status.addresses[{index}]", shown)
        seen.add(pair)


def _features(features: Sequence[str]) -> FieldErrors:
    for index, feature in enumerate(features):
        where = f"status.declaredFeatures[{index}]"
        if index and feature <= features[index - 1]:
            yield invalid_value(where, feature, "list must be sorted alphabetically")
        if not _FEATURE.fullmatch(feature):
            yield invalid_value(where, feature, f'invalid feature name "{feature}": {_FEATURE_RULE}')
