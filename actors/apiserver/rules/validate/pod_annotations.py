"""Annotations by which pods say what fields say today, or what only some component reads."""

from __future__ import annotations

import re
from typing import Any

from actors.apiserver.rules.field import FieldErrors, invalid_value
from actors.apiserver.rules.validate.projections import descending

_MIRROR = "kubernetes.io/config.mirror"
_COST = "controller.kubernetes.io/pod-deletion-cost"
_NUMBER = re.compile(r"0|-?[1-9][0-9]*", re.ASCII)
_INT32 = range(-(2**31), 2**31)
_SECCOMP = ("seccomp.security.alpha.kubernetes.io/pod", "container.seccomp.security.alpha.kubernetes.io/")
_APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
_PROFILES = ("runtime/default", "unconfined")
_LOCAL = "localhost/"


def pod_annotations(field: str, annotations: dict[str, str], spec: dict[str, Any]) -> FieldErrors:
    if _MIRROR in annotations and not spec.get("nodeName"):
        detail = "must set spec.nodeName if mirror pod annotation is set"
        yield invalid_value(f"{field}[{_MIRROR}]", annotations[_MIRROR], detail)
    cost = annotations.get(_COST)
    if cost is not None and not (_NUMBER.fullmatch(cost) and int(cost) in _INT32):
        yield invalid_value(f"{field}[{_COST}]", cost, "must be a 32bit integer")
    for key, value in annotations.items():
        if key == _SECCOMP[0] or key.startswith(_SECCOMP[1]):
            yield from _seccomp(f"{field}.{key}", value)
    known = {each.get("name") for kind in ("initContainers", "containers") for each in spec.get(kind) or ()}
    for key, value in annotations.items():
        if key.startswith(_APPARMOR):
            if (container := key.removeprefix(_APPARMOR)) not in known:
                yield invalid_value(f"{field}[{key}]", container, "container not found")
            if value and value not in _PROFILES and not value.startswith(_LOCAL):
                yield invalid_value(f"{field}[{key}]", value, f'invalid AppArmor profile name: "{value}"')


def _seccomp(field: str, profile: str) -> FieldErrors:
    if profile.startswith(_LOCAL):
        yield from descending(field, profile.removeprefix(_LOCAL))
    elif profile not in (*_PROFILES, "docker/default"):
        yield invalid_value(field, profile, "must be a valid seccomp profile")
