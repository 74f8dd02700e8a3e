"""Jobs and cron jobs."""

from __future__ import annotations

from typing import Any

from actors.apiserver.rules import names
from actors.apiserver.rules.field import (
    IMMUTABLE,
    FieldErrors,
    invalid_value,
    not_negative,
    not_supported,
    one_of,
    required,
    too_long,
    unchanged,
)
from actors.apiserver.rules.go_values import in_go
from actors.apiserver.rules.validate.job_policies import limits_of_indexes, policies
from actors.apiserver.rules.validate.pods import pod_template
from actors.apiserver.rules.validate.scheduling import label_selector
from protocols.objects import Object
from protocols.rules.schedules import InvalidSchedule, parse, zone
from protocols.rules.selectors import InvalidSelector, selector_matches

Spec = dict[str, Any]

_RESTART_POLICIES = ("OnFailure", "Never")
_COMPLETION_MODES = ("NonIndexed", "Indexed")
_CONCURRENCY = ("Allow", "Forbid", "Replace")
_NUMBERS = ("parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished")
_IMMUTABLE = ("completionMode", "selector", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy")
_MESSAGES = {
    "selector": "meta.v1.LabelSelector",
    "podFailurePolicy": "batch.v1.PodFailurePolicy",
    "successPolicy": "batch.v1.SuccessPolicy",
}
_MANAGER_MAX = 63


def job(obj: Object, old: Object | None) -> FieldErrors:
    spec = obj.get("spec") or {}
    yield from job_spec("spec", spec)
    if spec.get("selector") is None:
        yield required("spec.selector")
    elif old is not None and not spec.get("manualSelector"):
        yield from _generated(spec["selector"], obj["metadata"].get("uid") or "")
    if not _selects(spec):
        template_labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
        detail = "`selector` does not match template `labels`"
        yield invalid_value("spec.template.metadata.labels", template_labels or None, detail)
    if old is None:
        yield from _names_of_pods(obj, spec)
    else:
        yield from _job_update(spec, old.get("spec") or {})


def _generated(selector: Spec, uid: str) -> FieldErrors:
    labels = selector.get("matchLabels") or {}
    if uid not in (labels.get(key) for key in ("batch.kubernetes.io/controller-uid", "controller-uid")):
        yield invalid_value("spec.selector", in_go("meta.v1.LabelSelector", selector), "`selector` not auto-generated")


def _in_go(key: str, value: Any) -> Any:
    message = _MESSAGES.get(key)
    return value if message is None else in_go(message, value)


def _names_of_pods(obj: Object, spec: Spec) -> FieldErrors:
    """Each index has a pod that is called after it; the last name is the longest."""
    if spec.get("completionMode") == "Indexed" and (spec.get("completions") or 0) > 0:
        name = (obj.get("metadata") or {}).get("name") or ""
        last = f"{name}-{spec['completions'] - 1}"
        if any(names.dns_label(last)):
            yield invalid_value("metadata.name", name, f"will not able to create pod with invalid DNS label: {last}")


def cron_job(obj: Object, old: Object | None) -> FieldErrors:
    spec = obj.get("spec") or {}
    schedule = spec.get("schedule") or ""
    if not schedule:
        yield required("spec.schedule")
    else:
        yield from _schedule("spec.schedule", schedule, spec.get("timeZone") is not None)
    if spec.get("timeZone") is not None:
        yield from _time_zone("spec.timeZone", spec["timeZone"])
    yield from not_negative("spec.startingDeadlineSeconds", spec.get("startingDeadlineSeconds"))
    yield from one_of("spec.concurrencyPolicy", spec.get("concurrencyPolicy"), _CONCURRENCY)
    for key in ("successfulJobsHistoryLimit", "failedJobsHistoryLimit"):
        yield from not_negative(f"spec.{key}", spec.get(key))
    job_template = (spec.get("jobTemplate") or {}).get("spec") or {}
    if job_template.get("selector") is not None:
        yield invalid_value(
            "spec.jobTemplate.spec.selector", job_template["selector"], "`selector` will be auto-generated"
        )
    yield from job_spec("spec.jobTemplate.spec", job_template)
    if job_template.get("manualSelector"):
        yield not_supported("spec.jobTemplate.spec.manualSelector", True, ("nil", "false"))


def job_spec(field: str, spec: Spec) -> FieldErrors:
    for key in _NUMBERS:
        yield from not_negative(f"{field}.{key}", spec.get(key))
    mode = spec.get("completionMode")
    if mode is not None and mode not in _COMPLETION_MODES:
        yield not_supported(f"{field}.completionMode", mode, _COMPLETION_MODES)
    if mode == "Indexed" and spec.get("completions") is None:
        yield required(f"{field}.completions", "when completion mode is Indexed")
    yield from limits_of_indexes(field, spec)
    yield from policies(field, spec)
    if spec.get("managedBy") is not None:
        yield from _managed_by(f"{field}.managedBy", spec["managedBy"])
    yield from label_selector(f"{field}.selector", spec.get("selector"))
    template = spec.get("template") or {}
    yield from pod_template(f"{field}.template", template)
    policy = (template.get("spec") or {}).get("restartPolicy")
    if policy == "Always" or not policy:
        yield required(f"{field}.template.spec.restartPolicy", 'valid values: "OnFailure", "Never"')
    elif policy not in _RESTART_POLICIES:
        yield not_supported(f"{field}.template.spec.restartPolicy", policy, _RESTART_POLICIES)
    elif spec.get("podFailurePolicy") is not None and policy != "Never":
        detail = 'only "Never" is supported when podFailurePolicy is specified'
        yield invalid_value(f"{field}.template.spec.restartPolicy", policy, detail)


def _managed_by(field: str, name: str) -> FieldErrors:
    domain, slash, path = name.partition("/")
    if not name:
        yield required(field)
    elif not (domain and slash and path) or any(names.dns_subdomain(domain)):
        yield invalid_value(field, name, 'must be a domain-prefixed path (such as "acme.io/foo")')
    if len(name) > _MANAGER_MAX:
        yield too_long(field, _MANAGER_MAX)


def _job_update(spec: Spec, old: Spec) -> FieldErrors:
    for key in _IMMUTABLE:
        if spec.get(key) != old.get(key):
            yield invalid_value(f"spec.{key}", _in_go(key, spec.get(key)), IMMUTABLE)
    if spec.get("completionMode") != "Indexed":
        yield from unchanged("spec.completions", spec.get("completions"), old.get("completions"))
    elif spec.get("completions") not in (None, old.get("completions")) and spec.get("completions") != spec.get(
        "parallelism"
    ):
        detail = "can only be modified in tandem with spec.parallelism"
        yield invalid_value("spec.completions", spec.get("completions"), detail)
    if spec.get("template") != old.get("template") and not (old.get("suspend") and _only_placement(spec, old)):
        yield from unchanged("spec.template", spec.get("template"), old.get("template"))


def _only_placement(spec: Spec, old: Spec) -> bool:
    """A suspended job may still be told where its pods go (KEP-2926)."""
    return _without_placement(spec.get("template") or {}) == _without_placement(old.get("template") or {})


def _without_placement(template: Spec) -> Spec:
    """Nor with what its containers ask for (KEP-5440)."""
    placement = ("nodeSelector", "tolerations", "affinity", "schedulingGates")
    pod = {key: value for key, value in (template.get("spec") or {}).items() if key not in placement}
    for key in ("containers", "initContainers"):
        if pod.get(key):
            pod[key] = [{**container, "resources": {}} for container in pod[key]]
    return {"spec": pod}


def _selects(spec: Spec) -> bool:
    template_labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
    try:
        return selector_matches(spec.get("selector"), template_labels)
    except (InvalidSelector, KeyError):
        return True  # the selector itself is refused already


def _schedule(field: str, schedule: str, has_time_zone: bool) -> FieldErrors:
    if "TZ" in schedule:
        if has_time_zone:
            yield invalid_value(field, schedule, "cannot use both timeZone field and TZ or CRON_TZ in schedule")
        else:
            yield invalid_value(field, schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead")
        return
    try:
        parse(schedule)
    except InvalidSchedule as error:
        yield invalid_value(field, schedule, str(error))


def _time_zone(field: str, name: str) -> FieldErrors:
    if not name:
        yield invalid_value(field, name, "timeZone must be nil or non-empty string")
    elif name.lower() == "local":
        yield invalid_value(
            field, name, "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
        )
    else:
        try:
            zone(name)
        except ValueError as error:
            yield invalid_value(field, name, str(error))
