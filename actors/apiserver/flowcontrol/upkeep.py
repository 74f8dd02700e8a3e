"""What a stored flow schema or priority level is to become. Pure."""

from __future__ import annotations

from actors.apiserver.flowcontrol.defaults import AUTO_UPDATE, EXEMPT, MANDATORY
from protocols.objects import Object, meta, name_of
from protocols.rules.conditions import with_condition

_YES = frozenset({"1", "t", "T", "true", "TRUE", "True"})  # as Go's ParseBool
_NO = frozenset({"0", "f", "F", "false", "FALSE", "False"})


def restored(stored: Object, wanted: Object) -> Object | None:
    """One of the default objects as it should be; None where it is.

    What is mandatory stays what it is, but for the numbers of the level `exempt`. What is suggested follows unless its
    annotation says no; where it has none, whoever has changed it has meant it.
    """
    ours = _is_ours(stored)
    spec = _fixed(stored, wanted) if ours else stored["spec"]
    annotations = {**(meta(stored).get("annotations") or {}), AUTO_UPDATE: "true" if ours else "false"}
    if spec == stored["spec"] and annotations == meta(stored).get("annotations"):
        return None
    metadata = {**meta(stored), "annotations": annotations}
    if spec != stored["spec"]:
        metadata["generation"] = metadata.get("generation", 0) + 1
    return {**stored, "metadata": metadata, "spec": spec}


def judged(schema: Object, has_level: bool, now: float) -> Object | None:
    """The FlowSchema with its condition `Dangling`; None where it is right already. `now` is Unix seconds."""
    level = schema["spec"]["priorityLevelConfiguration"]["name"]
    begin = f'This FlowSchema references the PriorityLevelConfiguration object named "{level}"'
    status, reason, message = (
        ("False", "Found", f"{begin} and it exists")
        if has_level
        else ("True", "NotFound", f"{begin} but there is no such object")
    )
    before = (schema.get("status") or {}).get("conditions") or []
    conditions = with_condition(before, "Dangling", status, reason, message, now)
    return (
        None
        if conditions == before
        else {**schema, "status": {**(schema.get("status") or {}), "conditions": conditions}}
    )


def _is_ours(stored: Object) -> bool:
    if name_of(stored) in MANDATORY:
        return True
    says = (meta(stored).get("annotations") or {}).get(AUTO_UPDATE, "")
    if says in _YES or says in _NO:
        return says in _YES
    return int(meta(stored).get("generation", 1)) == 1


def _fixed(stored: Object, wanted: Object) -> Object:
    """The spec that is wanted; the level `exempt` keeps its own numbers."""
    if name_of(stored) == EXEMPT and "exempt" in wanted["spec"]:
        return {**wanted["spec"], "exempt": (stored["spec"].get("exempt") or wanted["spec"]["exempt"])}
    spec: Object = wanted["spec"]
    return spec
