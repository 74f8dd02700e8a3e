"""What of a pod's spec may still change: images, a shorter deadline, more tolerations, fewer scheduling gates.

The rest is compared at once: the new spec with its changeable fields put back must be the old spec.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actors.apiserver.rules.field import FieldErrors, forbidden, invalid_value

Spec = dict[str, Any]

_CHANGEABLE = (
    "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
    "`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


# Where `false` and an empty object are not what is taken for granted of nothing.
_POINTERS = frozenset(
    {
        "affinity",
        "automountServiceAccountToken",
        "dnsConfig",
        "enableServiceLinks",
        "hostUsers",
        "resources",
        "setHostnameAsFQDN",
        "shareProcessNamespace",
    }
)


def pod_update(new: Spec, old: Spec) -> FieldErrors:
    if new == old:
        return
    for key in ("containers", "initContainers"):
        if len(new.get(key) or ()) != len(old.get(key) or ()):
            yield forbidden(f"spec.{key}", f"pod updates may not add or remove {_words(key)}")
            return
    yield from _deadline(new.get("activeDeadlineSeconds"), old.get("activeDeadlineSeconds"))
    yield from _only_added_tolerations(new.get("tolerations") or (), old.get("tolerations") or ())
    yield from _only_removed_gates(new.get("schedulingGates") or (), old.get("schedulingGates") or ())
    restored = _with_old_changeables(new, old)
    if old.get("schedulingGates"):
        yield from _gated(restored, old)
    changed = _changed_fields(restored, old)
    if changed:
        detail = f"pod updates may not change fields other than {_CHANGEABLE}\nchanged: {', '.join(changed)}"
        yield forbidden("spec", detail)


def _deadline(new: int | None, old: int | None) -> FieldErrors:
    field = "spec.activeDeadlineSeconds"
    if old is not None and new is None:
        yield invalid_value(field, None, "must not update from a positive integer to nil value")
    elif old is not None and new is not None and new > old:
        yield invalid_value(field, new, "must be less than or equal to previous value")


def _only_added_tolerations(new: Sequence[Spec], old: Sequence[Spec]) -> FieldErrors:
    kept = [_without_seconds(toleration) for toleration in new]
    if any(_without_seconds(toleration) not in kept for toleration in old):
        yield forbidden("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds")


def _only_removed_gates(new: Sequence[Spec], old: Sequence[Spec]) -> FieldErrors:
    known = {gate.get("name") for gate in old}
    for index, gate in enumerate(new):
        if gate.get("name") not in known:
            detail = f"only deletion is allowed, but found new scheduling gate '{gate.get('name')}'"
            yield forbidden(f"spec.schedulingGates[{index}].name", detail)


def _gated(new: Spec, old: Spec) -> FieldErrors:
    """A pod that is not yet offered to the scheduler may still be narrowed down to fewer nodes."""
    before, after = old.get("nodeSelector") or {}, new.get("nodeSelector") or {}
    if any(after.get(key) != value for key, value in before.items()):
        yield invalid_value("spec.nodeSelector", after, "only additions to spec.nodeSelector are allowed")
    _put_back(new, old, "nodeSelector")


def _with_old_changeables(new: Spec, old: Spec) -> Spec:
    restored = dict(new)
    for key in ("containers", "initContainers"):
        if key in new and key in old:
            pairs = zip(new[key] or (), old[key] or (), strict=True)
            restored[key] = [_with_image(container, before) for container, before in pairs]
    for key in ("activeDeadlineSeconds", "tolerations", "schedulingGates"):
        _put_back(restored, old, key)
    if (old.get("terminationGracePeriodSeconds") or 0) < 0 and restored.get("terminationGracePeriodSeconds") == 1:
        _put_back(restored, old, "terminationGracePeriodSeconds")
    return restored


def _with_image(container: Spec, before: Spec) -> Spec:
    restored = dict(container)
    _put_back(restored, before, "image")
    return restored


def _put_back(new: Spec, old: Spec, key: str) -> None:
    if key in old:
        new[key] = old[key]
    else:
        new.pop(key, None)


def _without_seconds(toleration: Spec) -> Spec:
    return {key: value for key, value in toleration.items() if key != "tolerationSeconds"}


def _changed_fields(new: Spec, old: Spec) -> list[str]:
    """Empty and absent are the same, but for pointers; the message names what differs, as Kubernetes' diff does at
    length."""
    return [f"spec.{key}" for key in sorted({*new, *old}) if _told(key, new.get(key)) != _told(key, old.get(key))]


def _told(key: str, value: Any) -> Any:
    return value if key in _POINTERS else value or None


def _words(key: str) -> str:
    return {"containers": "containers", "initContainers": "init containers"}[key]
