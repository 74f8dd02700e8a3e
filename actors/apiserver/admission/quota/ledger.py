"""The arithmetic of quotas: what a change adds to each, whether there is room, and what a recount comes to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from actors.apiserver.admission.quota.scopes import is_about
from actors.apiserver.admission.quota.usage import NOTHING, PODS, Amounts, Usage, missing_resources, shown
from protocols.objects import Object, name_of
from protocols.rules.quantity import parse_quantity


class Exceeded(Exception):
    """The message is Kubernetes'."""


def difference(quota: Object, new: Usage, old: Usage = NOTHING) -> Amounts:
    """What a change adds to (or takes from) what the quota counts; {} when that is nothing."""
    hard = hard_of(quota)
    after = new.amounts if is_about(quota, new) else {}
    before = old.amounts if old.amounts and is_about(quota, old) else {}
    changes = {name: after.get(name, 0) - before.get(name, 0) for name in hard if name in after or name in before}
    return {name: change for name, change in changes.items() if change}


def check_said(quota: Object, group_resource: str, obj: Object) -> None:
    """A quota of CPU or memory insists that pods say how much they want. Raises Exceeded."""
    missing = missing_resources(obj, {*hard_of(quota)}) if group_resource == PODS else ""
    if missing:
        raise Exceeded(f"failed quota: {name_of(quota)}: must specify {missing}")


def charged(quota: Object, used: Amounts, change: Amounts) -> Amounts:
    """What is used with the change. Raises Exceeded when there is no room for it."""
    hard = hard_of(quota)
    after = {name: used.get(name, 0) + change.get(name, 0) for name in hard}
    over = sorted(name for name, more in change.items() if more > 0 and after[name] > hard[name])
    if over:
        raise Exceeded(
            f"exceeded quota: {name_of(quota)}, requested: {_listed(over, change)}, "
            f"used: {_listed(over, used)}, limited: {_listed(over, hard)}"
        )
    return {name: max(0, amount) for name, amount in after.items()}


def counted(quota: Object, usages: Iterable[Usage]) -> Amounts:
    """All over again."""
    total = dict.fromkeys(hard_of(quota), 0)
    for usage in usages:
        if is_about(quota, usage):
            for name in total.keys() & usage.amounts.keys():
                total[name] += usage.amounts[name]
    return total


def hard_of(quota: Object) -> Amounts:
    return _parsed((quota.get("spec") or {}).get("hard") or {})


def used_of(quota: Object) -> Amounts | None:
    """What the status says, None while it does not speak of everything that the quota limits."""
    used = _parsed((quota.get("status") or {}).get("used") or {})
    return used if used.keys() >= hard_of(quota).keys() else None


def with_status(quota: Object, used: Amounts) -> Object:
    spec = quota.get("spec") or {}
    status = {"hard": spec.get("hard") or {}, "used": {name: shown(name, used[name]) for name in used}}
    return {**quota, "status": status}


def _parsed(quantities: Mapping[str, Any]) -> Amounts:
    return {name: parse_quantity(value) for name, value in quantities.items()}


def _listed(names: list[str], amounts: Amounts) -> str:
    return ",".join(f"{name}={shown(name, amounts.get(name, 0))}" for name in names)
