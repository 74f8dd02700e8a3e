"""Workloads of apps/v1 (and their ancestor, the replication controller): selectors, templates, rollout numbers."""

from __future__ import annotations

from typing import Any

from actors.apiserver.rules import names
from actors.apiserver.rules.field import (
    IMMUTABLE,
    FieldError,
    FieldErrors,
    forbidden,
    invalid_value,
    matches,
    not_negative,
    not_supported,
    one_of,
    required,
    unchanged,
)
from actors.apiserver.rules.go_values import in_go
from actors.apiserver.rules.validate.claims import claim_spec
from actors.apiserver.rules.validate.pods import pod_template
from actors.apiserver.rules.validate.scheduling import label_selector
from protocols.objects import Object
from protocols.rules.selectors import InvalidSelector, map_matches, selector_matches

Spec = dict[str, Any]

_OF_REPLICAS = ("Deployment", "ReplicaSet")  # with rules in common, and words
_OF_PODS = (*_OF_REPLICAS, "StatefulSet")
_STRATEGIES = ("Recreate", "RollingUpdate")
_UPDATE_STRATEGIES = ("RollingUpdate", "OnDelete")
_RETENTION = ("Retain", "Delete")
_MANAGEMENT = ("OrderedReady", "Parallel")
_STATEFUL_CHANGEABLE = (
    "'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', "
    "'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds'"
)
_STATEFUL_IMMUTABLE = ("selector", "serviceName", "podManagementPolicy", "volumeClaimTemplates")
_SELECTOR = "meta.v1.LabelSelector"
_ROLLING = {
    "Deployment": "apps.v1.RollingUpdateDeployment",
    "StatefulSet": "apps.v1.RollingUpdateStatefulSetStrategy",
    "DaemonSet": "apps.v1.RollingUpdateDaemonSet",
}


def deployment(obj: Object, old: Object | None) -> FieldErrors:
    spec = obj.get("spec") or {}
    yield from not_negative("spec.replicas", spec.get("replicas"))
    yield from _selector_and_template(spec, obj.get("kind") or "")
    yield from _deployment_strategy("spec.strategy", spec.get("strategy") or {})
    yield from not_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    yield from not_negative("spec.revisionHistoryLimit", spec.get("revisionHistoryLimit"))
    deadline = spec.get("progressDeadlineSeconds")
    yield from not_negative("spec.progressDeadlineSeconds", deadline)
    if deadline is not None and deadline <= (spec.get("minReadySeconds") or 0):
        yield invalid_value("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")
    yield from _same_selector(spec, old)


def replica_set(obj: Object, old: Object | None) -> FieldErrors:
    spec = obj.get("spec") or {}
    yield from not_negative("spec.replicas", spec.get("replicas"))
    yield from not_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    yield from _selector_and_template(spec, obj.get("kind") or "")
    yield from _same_selector(spec, old)


def stateful_set(obj: Object, old: Object | None) -> FieldErrors:
    spec = obj.get("spec") or {}
    policy = spec.get("podManagementPolicy")
    if not policy:
        yield required("spec.podManagementPolicy")
    elif policy not in _MANAGEMENT:
        yield invalid_value("spec.podManagementPolicy", policy, "must be 'OrderedReady' or 'Parallel'")
    yield from _stateful_strategy("spec.updateStrategy", spec.get("updateStrategy") or {})
    retention = spec.get("persistentVolumeClaimRetentionPolicy") or {}
    for key in ("whenDeleted", "whenScaled"):
        if retention:
            yield from one_of(f"spec.persistentVolumeClaimRetentionPolicy.{key}", retention.get(key), _RETENTION)
    for key in ("replicas", "minReadySeconds"):
        yield from not_negative(f"spec.{key}", spec.get(key))
    yield from not_negative("spec.ordinals.start", (spec.get("ordinals") or {}).get("start"))
    if old is None:  # neither changes later
        for index, claim in enumerate(spec.get("volumeClaimTemplates") or ()):
            yield from claim_spec(f"spec.volumeClaimTemplates[{index}].spec", claim.get("spec") or {})
        if spec.get("serviceName"):
            yield from matches("spec.serviceName", spec["serviceName"], names.dns_label(spec["serviceName"]))
    yield from _selector_and_template({**spec, "template": _with_claims(spec)}, obj.get("kind") or "")
    before = (old or {}).get("spec") or {}
    if old is not None and any((spec.get(key) or None) != (before.get(key) or None) for key in _STATEFUL_IMMUTABLE):
        detail = f"updates to statefulset spec for fields other than {_STATEFUL_CHANGEABLE} are forbidden"
        yield forbidden("spec", detail)


def daemon_set(obj: Object, old: Object | None) -> FieldErrors:
    spec = obj.get("spec") or {}
    yield from _same_selector(spec, old)
    yield from _selector_and_template(spec, obj.get("kind") or "", is_new=old is None)
    yield from not_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    yield from not_negative("spec.revisionHistoryLimit", spec.get("revisionHistoryLimit"))
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type") not in _UPDATE_STRATEGIES:
        yield not_supported("spec.updateStrategy", _in_go("DaemonSet", strategy), _UPDATE_STRATEGIES)
    elif strategy["type"] == "RollingUpdate":
        yield from _daemons_one_by_one("spec.updateStrategy.rollingUpdate", strategy.get("rollingUpdate") or {})


def replication_controller(obj: Object, old: Object | None) -> FieldErrors:
    spec = obj.get("spec") or {}
    yield from not_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    selector, template = spec.get("selector") or {}, spec.get("template")
    if not selector:
        yield required("spec.selector")
    yield from not_negative("spec.replicas", spec.get("replicas"))
    if template is None:
        yield required("spec.template")
        return
    template_labels = (template.get("metadata") or {}).get("labels") or {}
    if selector and not map_matches(selector, template_labels):
        yield _mismatch(template_labels)
    yield from pod_template("spec.template", template)
    yield from _always_restarted(template)
    yield from _no_deadline(template, obj.get("kind") or "")


def controller_revision(obj: Object, old: Object | None) -> FieldErrors:
    yield from not_negative("revision", obj.get("revision"))
    data = obj.get("data")
    if old is not None:
        yield from unchanged("data", data, old.get("data"))
    elif data is None:
        yield required("data", "data is mandatory")
    elif not isinstance(data, dict):
        yield required("data", "data must be a valid JSON object")


def pod_template_object(obj: Object, old: Object | None) -> FieldErrors:
    """A PodTemplate that stands alone."""
    yield from pod_template("template", obj.get("template") or {})


def int_or_percent(field: str, value: Any) -> FieldErrors:
    """A count, or a percentage; not negative."""
    if isinstance(value, str):
        yield from matches(field, value, names.percent(value))
    else:
        yield from not_negative(field, value)


def _with_claims(spec: Spec) -> Spec:
    """The template with the volumes that each pod gets for the set's claims, and before its own. Its names are not the
    template's to say."""
    template = spec.get("template") or {}
    claims = spec.get("volumeClaimTemplates") or ()
    claimed = dict.fromkeys((claim.get("metadata") or {}).get("name") or "" for claim in claims)
    pod = template.get("spec") or {}
    own = [volume for volume in pod.get("volumes") or () if not volume.get("name") or volume["name"] not in claimed]
    given = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in claimed]
    named = {key: value for key, value in pod.items() if key not in ("hostname", "subdomain")}
    return {**template, "spec": {**named, "volumes": [*given, *own]}}


def _selector_and_template(spec: Spec, kind: str, *, is_new: bool = True) -> FieldErrors:
    selector, template = spec.get("selector"), spec.get("template") or {}
    template_labels = (template.get("metadata") or {}).get("labels") or {}
    if selector is None:
        if kind in _OF_PODS or is_new:
            yield required("spec.selector")
        if kind in _OF_PODS or not is_new:
            yield _mismatch(template_labels)
    else:
        problems = list(label_selector("spec.selector", selector))
        yield from problems
        shown = in_go(_SELECTOR, selector)
        if not any(selector.get(key) for key in ("matchLabels", "matchExpressions")):
            whose = "deployment" if kind in _OF_REPLICAS else kind.lower()
            yield invalid_value("spec.selector", shown, f"empty selector is invalid for {whose}")
        elif problems and kind in _OF_PODS:
            yield invalid_value("spec.selector", shown, "" if kind == "StatefulSet" else "invalid label selector")
        elif not problems and not _selects(selector, template_labels):
            yield _mismatch(template_labels)
    yield from pod_template("spec.template", template)
    yield from _always_restarted(template)
    yield from _no_deadline(template, kind)


def _no_deadline(template: Spec, kind: str) -> FieldErrors:
    if (template.get("spec") or {}).get("activeDeadlineSeconds") is not None:
        kind = "ReplicaSet" if kind == "Deployment" else kind  # whose rules are those of its templates
        detail = f"activeDeadlineSeconds in {kind} is not Supported"
        yield forbidden("spec.template.spec.activeDeadlineSeconds", detail)


def _selects(selector: Spec, template_labels: dict[str, str]) -> bool:
    try:
        return selector_matches(selector, template_labels)
    except (InvalidSelector, KeyError):
        return True  # the selector itself is refused already


def _mismatch(template_labels: dict[str, str]) -> FieldError:
    detail = "`selector` does not match template `labels`"
    return invalid_value("spec.template.metadata.labels", template_labels or None, detail)


def _always_restarted(template: Spec) -> FieldErrors:
    policy = (template.get("spec") or {}).get("restartPolicy")
    if policy and policy != "Always":
        yield not_supported("spec.template.spec.restartPolicy", policy, ("Always",))


def _same_selector(spec: Spec, old: Object | None) -> FieldErrors:
    before = (old or {}).get("spec") or {}
    if old is not None and spec.get("selector") != before.get("selector"):
        yield invalid_value("spec.selector", in_go(_SELECTOR, spec.get("selector")), IMMUTABLE)


def _deployment_strategy(field: str, strategy: Spec) -> FieldErrors:
    rolling = strategy.get("rollingUpdate")
    if strategy.get("type") not in _STRATEGIES:
        yield not_supported(field, _in_go("Deployment", strategy), _STRATEGIES)
    if strategy.get("type") == "Recreate" and rolling is not None:
        yield forbidden(f"{field}.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'")
    elif strategy.get("type") == "RollingUpdate":
        if rolling is None:
            yield required(f"{field}.rollingUpdate", "this should be defaulted and never be nil")
        else:
            yield from _rolling_update(f"{field}.rollingUpdate", rolling)


def _rolling_update(field: str, rolling: Spec) -> FieldErrors:
    unavailable, surge = rolling.get("maxUnavailable"), rolling.get("maxSurge")
    yield from int_or_percent(f"{field}.maxUnavailable", unavailable)
    yield from int_or_percent(f"{field}.maxSurge", surge)
    if _is_zero(unavailable) and _is_zero(surge):
        yield invalid_value(f"{field}.maxUnavailable", unavailable, "may not be 0 when `maxSurge` is 0")
    yield from at_most_all(f"{field}.maxUnavailable", unavailable)


def _daemons_one_by_one(field: str, rolling: Spec) -> FieldErrors:
    """A node's daemon is either replaced by one that is there already, or has gone before."""
    unavailable, surge = rolling.get("maxUnavailable"), rolling.get("maxSurge")
    for key, value in (("maxUnavailable", unavailable), ("maxSurge", surge)):
        yield from int_or_percent(f"{field}.{key}", value)
        yield from at_most_all(f"{field}.{key}", value)
    if _is_zero(unavailable) and _is_zero(surge):
        yield required(f"{field}.maxUnavailable", "cannot be 0 when maxSurge is 0")
    elif not _is_zero(unavailable) and not _is_zero(surge):
        yield invalid_value(f"{field}.maxSurge", surge, "may not be set when maxUnavailable is non-zero")


def _in_go(kind: str, strategy: Spec) -> Spec:
    return {"Type": strategy.get("type") or "", "RollingUpdate": in_go(_ROLLING[kind], strategy.get("rollingUpdate"))}


def at_most_all(field: str, value: Any) -> FieldErrors:
    if isinstance(value, str) and value.endswith("%") and value[:-1].isdigit() and int(value[:-1]) > 100:
        yield invalid_value(field, value, "must not be greater than 100%")


def _stateful_strategy(field: str, strategy: Spec) -> FieldErrors:
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    if not kind:
        yield required(f"{field}.type")
    elif kind not in _UPDATE_STRATEGIES:
        yield invalid_value(field, _in_go("StatefulSet", strategy), "must be 'RollingUpdate' or 'OnDelete'")
    elif kind == "OnDelete" and rolling is not None:
        detail = "only allowed for updateStrategy 'RollingUpdate'"
        yield invalid_value(f"{field}.rollingUpdate", in_go(_ROLLING["StatefulSet"], rolling), detail)
    elif rolling is not None:
        yield from not_negative(f"{field}.rollingUpdate.partition", rolling.get("partition"))
        yield from _some_unavailable(f"{field}.rollingUpdate.maxUnavailable", rolling.get("maxUnavailable"))


def _some_unavailable(field: str, most: Any) -> FieldErrors:
    if most is None:
        return
    yield from int_or_percent(field, most)
    if _is_zero(most):
        yield invalid_value(field, most, "cannot be 0")
    yield from at_most_all(field, most)


def _is_zero(value: Any) -> bool:
    """What is no count and no percentage counts as none, too."""
    if isinstance(value, str):
        return any(names.percent(value)) or int(value[:-1]) == 0
    return not value
