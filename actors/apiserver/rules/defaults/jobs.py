"""Jobs and cron jobs."""

from __future__ import annotations

from actors.apiserver.rules.defaults.fill import fill, section
from actors.apiserver.rules.defaults.pods import pod_template
from protocols.objects import Object

_UNBOUNDED = 2**31 - 1


def job(obj: Object) -> None:
    spec = section(obj, "spec")
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1  # with parallelism alone it is a work queue: done when one of its pods says so
    fill(
        spec,
        parallelism=1,
        backoffLimit=_UNBOUNDED if spec.get("backoffLimitPerIndex") is not None else 6,
        completionMode="NonIndexed",
        suspend=False,
        manualSelector=False,
        podReplacementPolicy="Failed" if spec.get("podFailurePolicy") else "TerminatingOrFailed",
    )
    for rule in (spec.get("podFailurePolicy") or {}).get("rules") or ():
        for pattern in rule.get("onPodConditions") or ():
            fill(pattern, status="True")
    pod_template(section(spec, "template"))


def cron_job(obj: Object) -> None:
    spec = section(obj, "spec")
    fill(
        spec,
        concurrencyPolicy="Allow",
        suspend=False,
        successfulJobsHistoryLimit=3,
        failedJobsHistoryLimit=1,
    )
    job_template = section(spec, "jobTemplate")
    fill(job_template, metadata={})
    pod_template(section(section(job_template, "spec"), "template"))
