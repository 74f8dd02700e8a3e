"""How a deployment divides its replicas among its replica sets: arithmetic, as Kubernetes does it.

Sizes in, sizes out: what each set should ask for next. A rolling update never has more than replicas + maxSurge pods
and never fewer than replicas - maxUnavailable available ones; a scale during an update is spread in proportion.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from protocols.objects import Object


class Limits(NamedTuple):
    """A deployment's replicas and how far a rolling update may stray from them."""

    replicas: int
    surge: int
    unavailable: int

    @property
    def most(self) -> int:
        return self.replicas + self.surge

    @property
    def least_available(self) -> int:
        return self.replicas - self.unavailable


class SetSize(NamedTuple):
    """One replica set: what it asks for (spec.replicas), what it has, and how large its deployment was at that time."""

    key: str
    replicas: int
    available: int = 0
    created: float = 0.0
    most_then: int = 0  # replicas + surge when it was last scaled; 0: not known


Sizes = dict[str, int]  # key of a replica set -> new spec.replicas; only those that change


def limits_of(deployment: Object) -> Limits:
    """maxSurge rounds up, maxUnavailable down; were both 0, nothing could ever move, so one may be unavailable."""
    spec = deployment["spec"]
    replicas = 1 if spec.get("replicas") is None else int(spec["replicas"])
    strategy = spec.get("strategy") or {}
    if strategy.get("type") == "Recreate":
        return Limits(replicas, 0, 0)
    rolling = strategy.get("rollingUpdate") or {}
    surge = resolve(rolling.get("maxSurge", "25%"), replicas, math.ceil)
    unavailable = resolve(rolling.get("maxUnavailable", "25%"), replicas, math.floor)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return Limits(replicas, surge, min(unavailable, replicas))


def resolve(value: int | str | None, total: int, rounded: Any) -> int:
    """An IntOrString: a number, or a percentage of `total`."""
    if value is None:
        return 0
    if isinstance(value, int):
        return value
    digits = value.removesuffix("%")
    return int(rounded(int(digits) * total / 100)) if digits.isdigit() else 0


def new_set_size(limits: Limits, total: int, current: int) -> int:
    """What the new set may grow to while all sets together ask for `total`."""
    if total >= limits.most:
        return current
    return current + min(limits.most - total, limits.replicas - current)


def roll_new(limits: Limits, new: SetSize, old: Sequence[SetSize]) -> Sizes:
    """The new set grows as far as the surge allows, or shrinks to the replicas asked for."""
    if new.replicas == limits.replicas:
        return {}
    if new.replicas > limits.replicas:
        return {new.key: limits.replicas}
    size = new_set_size(limits, new.replicas + sum(s.replicas for s in old), new.replicas)
    return {new.key: size} if size != new.replicas else {}


def roll_old(limits: Limits, new: SetSize, old: Sequence[SetSize]) -> Sizes:
    """The old sets shrink as far as enough pods stay available; what is not available goes first."""
    old = sorted((s for s in old if s.replicas > 0), key=lambda s: s.created)
    total = new.replicas + sum(s.replicas for s in old)
    most = total - limits.least_available - (new.replicas - new.available)
    if not old or most <= 0:
        return {}
    sizes = _drop_unavailable(old, most)
    return sizes | _drop_available(limits, new, [s._replace(replicas=sizes.get(s.key, s.replicas)) for s in old])


def _drop_unavailable(old: Sequence[SetSize], most: int) -> Sizes:
    sizes: Sizes = {}
    for each in old:
        count = min(most, each.replicas - each.available)
        if count > 0:
            sizes[each.key] = each.replicas - count
            most -= count
    return sizes


def _drop_available(limits: Limits, new: SetSize, old: Sequence[SetSize]) -> Sizes:
    spare = new.available + sum(s.available for s in old) - limits.least_available
    sizes: Sizes = {}
    for each in old:
        count = min(each.replicas, spare)
        if count > 0:
            sizes[each.key] = each.replicas - count
            spare -= count
    return sizes


def scale(limits: Limits, new: SetSize | None, old: Sequence[SetSize], *, rolling: bool, saturated: bool) -> Sizes:
    """The deployment's replicas changed, or it is paused: keep the proportions, roll nothing forward."""
    everything = [*old, *([new] if new is not None else [])]
    if not everything:
        return {}
    active = [s for s in everything if s.replicas > 0]
    if len(active) <= 1:
        only = active[0] if active else new or max(old, key=lambda s: s.created)
        return {only.key: limits.replicas} if only.replicas != limits.replicas else {}
    if saturated:
        return {s.key: 0 for s in old if s.replicas > 0}
    return _in_proportion(limits, active) if rolling else {}


def _in_proportion(limits: Limits, active: Sequence[SetSize]) -> Sizes:
    """Largest first, and of equal ones the newer when growing, the older when shrinking; the first takes the rest."""
    allowed = limits.most if limits.replicas > 0 else 0
    missing = allowed - sum(s.replicas for s in active)
    newer_first = -1 if missing > 0 else 1
    ordered = sorted(active, key=lambda s: (-s.replicas, newer_first * s.created))
    sizes = {s.key: s.replicas for s in ordered}
    added = 0
    for each in ordered:
        share = _share(limits, each, missing, added)
        sizes[each.key] += share
        added += share
    first = ordered[0].key
    sizes[first] = max(0, sizes[first] + missing - added)
    return {s.key: sizes[s.key] for s in ordered if sizes[s.key] != s.replicas}


def _share(limits: Limits, each: SetSize, missing: int, added: int) -> int:
    """This set's part of what is missing, never beyond what is left of it."""
    if each.replicas == 0 or missing == 0 or added == missing:
        return 0
    if limits.replicas == 0:
        fraction = -each.replicas
    elif each.most_then == 0:
        fraction = 0
    else:
        fraction = _rounded(each.replicas * limits.most / each.most_then) - each.replicas
    left = missing - added
    return min(fraction, left) if missing > 0 else max(fraction, left)


def _rounded(number: float) -> int:
    """Half away from zero, as Go's math.Round."""
    return math.floor(number + 0.5)
