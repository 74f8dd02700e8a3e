"""A Job's `podFailurePolicy`: what the first rule that matches a failed pod makes of its failure."""

from __future__ import annotations

from typing import Any, NamedTuple

from actors.controllers.job_pods import JobPod
from protocols.objects import Object

Rule = dict[str, Any]


class Verdict(NamedTuple):
    """`message`: why the whole job fails, where it does."""

    action: str
    message: str = ""

    @property
    def counts(self) -> bool:
        return self.action != "Ignore"


COUNT = Verdict("Count")


def judge(job: Object, pod: JobPod) -> Verdict:
    policy = job["spec"].get("podFailurePolicy") or {}
    for position, rule in enumerate(policy.get("rules") or ()):
        if rule.get("onExitCodes") is not None:
            exit = _matching_exit(rule["onExitCodes"], pod)
            if exit is not None:
                why = f"Container {exit[0]} for pod {pod.pod.key} failed with exit code {exit[1]}"
                return _verdict(rule, position, why)
        else:
            condition = _matching_condition(rule, pod)
            if condition is not None:
                return _verdict(rule, position, f"Pod {pod.pod.key} has condition {condition}")
    return COUNT


def _verdict(rule: Rule, position: int, why: str) -> Verdict:
    action = rule["action"]
    return Verdict(action, f"{why} matching {action} rule at index {position}" if action == "FailJob" else "")


def _matching_exit(requirement: dict[str, Any], pod: JobPod) -> tuple[str, int] | None:
    wanted, values = requirement.get("containerName"), requirement.get("values") or ()
    for name, code in pod.exits:
        if wanted in (None, name) and (code in values) == (requirement.get("operator") == "In"):
            return name, code
    return None


def _matching_condition(rule: Rule, pod: JobPod) -> str | None:
    patterns = [(p.get("type"), p.get("status") or "True") for p in rule.get("onPodConditions") or ()]
    return next((type for type, status in pod.conditions if (type, status) in patterns), None)
