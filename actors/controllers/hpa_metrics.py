"""How many replicas a resource metric asks for: what pods use, compared with what they should use on average.

Not every pod can be judged. One that has just begun uses CPU to begin, and one that is not ready serves nobody: they
are set aside. Of one that is not measured nothing is known. Both count only against the direction that the others
ask for (as using nothing where more is asked for, as using all where less is), so that they can dampen a change, and
never cause or turn one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from actorkube.runtime.duration import parse_duration
from protocols.objects import Object, name_of, namespace_of
from protocols.rules.owners import is_deleting
from protocols.rules.pods import phase_of, ready_condition
from protocols.rules.quantity import NANOS, parse_quantity
from protocols.rules.times import seconds_of

_MILLI = NANOS // 1000


class Unknown(Exception):
    """Nothing can be said; the message is Kubernetes' own."""


class Sample(NamedTuple):
    """`milli`: thousandths of a core, or of a byte. `window_s` is the time before `at` over which it was measured."""

    milli: int
    at: float
    window_s: float


class Patience(NamedTuple):
    """For CPU: so long after its start a pod is judged by fresh samples only; and one that became unready so early,
    and never ready since, is not judged at all."""

    initialization_s: float = 300.0
    readiness_s: float = 30.0


class Tolerance(NamedTuple):
    up: float = 0.1
    down: float = 0.1

    def holds(self, ratio: float) -> bool:
        return 1.0 - self.down <= ratio <= 1.0 + self.up


class Groups(NamedTuple):
    """Pods by name. Those that fail or go are in none of them."""

    judged: list[str]
    unready: list[str]
    missing: list[str]


class Proposal(NamedTuple):
    """`milli`: the mean use. `percent`: of what was requested, where that is the target."""

    replicas: int
    milli: int
    percent: int | None


def by_utilization(
    current: int, groups: Groups, samples: Mapping[str, Sample], requests: Mapping[str, int], target: int, ok: Tolerance
) -> Proposal:
    """The target is a percentage of what the pods request. Raises Unknown."""
    used = _of_judged(groups, samples)

    def percent(milli: Mapping[str, int]) -> int:
        requested = sum(requests[name] for name in milli)
        if not requested:
            raise Unknown("no metrics returned matched known pods")
        return sum(milli.values()) * 100 // requested

    def full(name: str) -> int:
        return requests[name] * max(100, target) // 100

    replicas = propose(current, groups, used, lambda milli: percent(milli) / target, full, ok)
    return Proposal(replicas, sum(used.values()) // len(used), percent(used))


def by_average(
    current: int, groups: Groups, samples: Mapping[str, Sample], target_milli: int, ok: Tolerance
) -> Proposal:
    """The target is an amount for each pod. Raises Unknown."""
    used = _of_judged(groups, samples)

    def mean(milli: Mapping[str, int]) -> int:
        return sum(milli.values()) // len(milli)

    replicas = propose(current, groups, used, lambda milli: mean(milli) / target_milli, lambda name: target_milli, ok)
    return Proposal(replicas, mean(used), None)


def propose(
    current: int,
    groups: Groups,
    used: Mapping[str, int],
    ratio_of: Callable[[Mapping[str, int]], float],
    full: Callable[[str], int],
    ok: Tolerance,
) -> int:
    """`full`: what a pod that is not measured is believed to use at most."""
    first = ratio_of(used)
    dampens = groups.unready if first > 1.0 else []
    if not dampens and not groups.missing:
        return current if ok.holds(first) else math.ceil(first * len(groups.judged))
    believed = dict(used)
    if first != 1.0:
        believed |= {name: full(name) if first < 1.0 else 0 for name in groups.missing}
    believed |= dict.fromkeys(dampens, 0)
    ratio = ratio_of(believed)
    if ok.holds(ratio) or (first < 1.0 < ratio) or (ratio < 1.0 < first):
        return current
    replicas = math.ceil(ratio * len(believed))
    turned = replicas > current if ratio < 1.0 else replicas < current
    return current if turned else replicas


def _of_judged(groups: Groups, samples: Mapping[str, Sample]) -> dict[str, int]:
    if not groups.judged:
        raise Unknown("did not receive metrics for targeted pods (pods might be unready)")
    return {name: samples[name].milli for name in groups.judged}


# -- pods -------------------------------------------------------------------------------------------------------------


def group(
    pods: Iterable[Object], samples: Mapping[str, Sample], resource: str, patience: Patience, now: float
) -> Groups:
    judged, unready, missing = groups = Groups([], [], [])
    for pod in pods:
        name, phase = name_of(pod), phase_of(pod)
        if is_deleting(pod) or phase == "Failed":
            continue
        if phase == "Pending":
            unready.append(name)
        elif name not in samples:
            missing.append(name)
        elif resource == "cpu" and not _is_judged(pod, samples[name], patience, now):
            unready.append(name)
        else:
            judged.append(name)
    return groups


def _is_judged(pod: Object, sample: Sample, patience: Patience, now: float) -> bool:
    ready, started = ready_condition(pod), (pod.get("status") or {}).get("startTime")
    if ready is None or started is None:
        return False
    since, began = seconds_of(ready["lastTransitionTime"]), seconds_of(started)
    is_unready = ready.get("status") == "False"
    if began + patience.initialization_s > now:
        return not is_unready and sample.at >= since + sample.window_s
    return not (is_unready and began + patience.readiness_s > since)


def requests_of(pods: Iterable[Object], resource: str, container: str = "") -> dict[str, int]:
    """What each pod, or one container of each, requests. Raises Unknown where one does not say."""
    return {name_of(pod): _request(pod, resource, container) for pod in pods}


def _request(pod: Object, resource: str, container: str) -> int:
    spec = pod.get("spec") or {}
    whole = _requested(spec, resource)
    if whole is not None and not container:  # pod-level resources, KEP-2837
        return _milli(whole)
    sidecars = [each for each in spec.get("initContainers") or () if each.get("restartPolicy") == "Always"]
    total = 0
    for each in (*(spec.get("containers") or ()), *sidecars):
        if container not in ("", each["name"]):
            continue
        request = _requested(each, resource)
        if request is None:
            raise Unknown(f"missing request for {resource} in container {each['name']} of Pod {name_of(pod)}")
        total += _milli(request)
    return total


def _requested(part: Mapping[str, Any], resource: str) -> Any:
    return ((part.get("resources") or {}).get("requests") or {}).get(resource)


# -- samples ----------------------------------------------------------------------------------------------------------


def samples_of(metrics: Sequence[Object], resource: str, container: str = "") -> dict[str, Sample]:
    """By pod, what `metrics.k8s.io` says. A pod of which it says nothing about the resource is not there."""
    if not metrics:
        raise Unknown("no metrics returned from resource metrics API")
    found: dict[str, Sample] = {}
    for each in metrics:
        try:
            sample = _sample(each, resource, container)
        except (KeyError, TypeError, ValueError) as error:  # a metrics server of somebody else may tell anything
            raise Unknown(f"unable to fetch metrics from resource metrics API: {error!r}") from error
        if sample is not None:
            found[name_of(each)] = sample
    return found


def _sample(metrics: Object, resource: str, container: str) -> Sample | None:
    used: list[Any] = [
        (part.get("usage") or {}).get(resource)
        for part in metrics.get("containers") or ()
        if container in ("", part["name"])
    ]
    if container and not used:
        where = f"{namespace_of(metrics)}/{name_of(metrics)}"
        raise Unknown(f"container {container} not present in metrics for pod {where}")
    if not used or None in used:
        return None
    window_s = parse_duration(metrics["window"])
    return Sample(sum(map(_milli, used)), seconds_of(metrics["timestamp"]), window_s)


def _milli(quantity: str | float) -> int:
    return -(-parse_quantity(quantity) // _MILLI)
