"""How fast an autoscaler may follow what metrics ask for: it looks back over a window, and changes only so much a time.

Looking back (stabilisation): the size stays where it is between the lowest size that was asked for in the window of
scaling up and the highest in that of scaling down. Then policies bound the step: so many pods, or so much per cent, of
what there was when a policy's period began. (KEP-853.)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from protocols.rules.quantity import NANOS, parse_quantity

Behavior = Mapping[str, Any]
_KEPT_MAX = 1024  # an hour, the longest window, has 240 looks; who looks more often forgets the oldest
_DOUBLE: dict[str, Any] = {"type": "Percent", "value": 100, "periodSeconds": 15}
_POLICIES_UP = ({"type": "Pods", "value": 4, "periodSeconds": 15}, _DOUBLE)
_POLICIES_DOWN = (_DOUBLE,)
_LEAST_LIMIT = 4  # without `behavior` it doubles at most, and to four at least


class Policy(NamedTuple):
    type: str
    value: int
    period_s: float


class Rules(NamedTuple):
    """`select`: Max, Min or Disabled. `tolerance`: None where it is everybody's."""

    window_s: float
    policies: tuple[Policy, ...]
    select: str
    tolerance: float | None


class Happened(NamedTuple):
    at: float
    number: int


class Past:
    """What an autoscaler remembers: the sizes that metrics asked for, and by how much it changed the size."""

    def __init__(self) -> None:
        self.asked: deque[Happened] = deque(maxlen=_KEPT_MAX)
        self.ups: deque[Happened] = deque(maxlen=_KEPT_MAX)
        self.downs: deque[Happened] = deque(maxlen=_KEPT_MAX)

    def ask(self, replicas: int, keep_s: float, now: float) -> None:
        _forget(self.asked, now - keep_s)
        self.asked.append(Happened(now, replicas))

    def scale(self, before: int, after: int, behavior: Behavior, now: float) -> None:
        events = self.ups if after > before else self.downs
        policies = (*rules_up(behavior).policies, *rules_down(behavior, 0.0).policies)  # each looks at both
        _forget(events, now - max((policy.period_s for policy in policies), default=0.0))
        events.append(Happened(now, abs(after - before)))


class Bounds(NamedTuple):
    current: int
    least: int
    most: int


class Limited(NamedTuple):
    """The size to go to, and why: `able` and `limited` are a condition's reason and message."""

    replicas: int
    is_limited: bool
    able: tuple[str, str]
    limited: tuple[str, str]


def follow(asked: int, bounds: Bounds, past: Past, behavior: Behavior | None, window_s: float, now: float) -> Limited:
    """The size to go to now that metrics ask for this one. `window_s`: of scaling down, where nothing else is said."""
    if behavior is None:
        stable = max(asked, *(replicas for at, replicas in past.asked if at > now - window_s), 0)
        past.ask(asked, window_s, now)
        replicas, *limited = _limit_simply(stable, bounds)
        able = _able(stable == asked, "Down")
    else:
        up, down = rules_up(behavior), rules_down(behavior, window_s)
        stable = stabilise(asked, bounds.current, past.asked, up.window_s, down.window_s, now)
        past.ask(asked, max(up.window_s, down.window_s), now)
        replicas, *limited = _limit(stable, bounds, past, up, down, now)
        able = _able(stable == asked, "Up" if asked >= bounds.current else "Down")
    return Limited(replicas, replicas != stable, able, (limited[0], limited[1]))


def stabilise(asked: int, current: int, past: Iterable[Happened], up_s: float, down_s: float, now: float) -> int:
    lowest = highest = asked
    for at, replicas in past:
        if at > now - up_s:
            lowest = min(lowest, replicas)
        if at > now - down_s:
            highest = max(highest, replicas)
    return min(max(current, lowest), highest)


def _able(is_stable: bool, direction: str) -> tuple[str, str]:
    if is_stable:
        return "ReadyForNewScale", "recommended size matches current size"
    low, lowest = ("lower", "lowest") if direction == "Up" else ("higher", "highest")
    message = f"recent recommendations were {low} than current one, applying the {lowest} recent recommendation"
    return f"Scale{direction}Stabilized", message


# -- how far ----------------------------------------------------------------------------------------------------------

_WITHIN = ("DesiredWithinRange", "the desired count is within the acceptable range")
_TOO_MANY = ("TooManyReplicas", "the desired replica count is more than the maximum replica count")
_TOO_FEW = ("TooFewReplicas", "the desired replica count is less than the minimum replica count")
_TOO_FAST_UP = ("ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate")
_TOO_FAST_DOWN = ("ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate")


def _limit_simply(replicas: int, bounds: Bounds) -> tuple[int, str, str]:
    limit = max(2 * bounds.current, _LEAST_LIMIT)
    if replicas < bounds.least:
        return bounds.least, *_TOO_FEW
    if replicas > min(bounds.most, limit):
        return min(bounds.most, limit), *(_TOO_FAST_UP if bounds.most > limit else _TOO_MANY)
    return replicas, *_WITHIN


def _limit(replicas: int, bounds: Bounds, past: Past, up: Rules, down: Rules, now: float) -> tuple[int, str, str]:
    if replicas > bounds.current:
        limit = max(limit_up(bounds.current, past, up, now), bounds.current)
        if replicas > min(bounds.most, limit):
            return min(bounds.most, limit), *(_TOO_FAST_UP if bounds.most > limit else _TOO_MANY)
    elif replicas < bounds.current:
        limit = min(limit_down(bounds.current, past, down, now), bounds.current)
        if replicas < max(bounds.least, limit):
            return max(bounds.least, limit), *(_TOO_FAST_DOWN if bounds.least < limit else _TOO_FEW)
    return replicas, *_WITHIN


def limit_up(current: int, past: Past, rules: Rules, now: float) -> int:
    """The largest size that the policies allow. A share is rounded up, so that one pod can become two."""
    if rules.select == "Disabled":
        return current
    limits = [
        start + policy.value if policy.type == "Pods" else -(-start * (100 + policy.value) // 100)
        for policy in rules.policies
        for start in (_at_begin(current, past, policy, now),)
    ]
    return min(limits) if rules.select == "Min" else max(limits)


def limit_down(current: int, past: Past, rules: Rules, now: float) -> int:
    """The smallest size that the policies allow."""
    if rules.select == "Disabled":
        return current
    limits = [
        start - policy.value if policy.type == "Pods" else start * (100 - policy.value) // 100
        for policy in rules.policies
        for start in (_at_begin(current, past, policy, now),)
    ]
    return max(limits) if rules.select == "Min" else min(limits)


def _at_begin(current: int, past: Past, policy: Policy, now: float) -> int:
    """The size when the policy's period began, as far as this autoscaler has changed it since."""
    since = now - policy.period_s
    return current - _sum_since(past.ups, since) + _sum_since(past.downs, since)


def _sum_since(events: Iterable[Happened], since: float) -> int:
    return sum(event.number for event in events if event.at > since)


def _forget(events: deque[Happened], before: float) -> None:
    while events and events[0].at < before:
        events.popleft()


# -- rules ------------------------------------------------------------------------------------------------------------


def rules_up(behavior: Behavior) -> Rules:
    return _rules(behavior.get("scaleUp") or {}, 0.0, _POLICIES_UP)


def rules_down(behavior: Behavior, window_s: float) -> Rules:
    return _rules(behavior.get("scaleDown") or {}, window_s, _POLICIES_DOWN)


def _rules(given: Mapping[str, Any], window_s: float, policies: tuple[dict[str, Any], ...]) -> Rules:
    window = given.get("stabilizationWindowSeconds")
    tolerance = given.get("tolerance")
    return Rules(
        window_s if window is None else float(window),
        tuple(Policy(each["type"], each["value"], each["periodSeconds"]) for each in given.get("policies") or policies),
        given.get("selectPolicy") or "Max",
        None if tolerance is None else parse_quantity(tolerance) / NANOS,
    )
