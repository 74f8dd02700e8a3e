"""Devices, classes and claims for tests, and a slow way to allocate that is obviously right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations_with_replacement
from typing import Any

from actors.scheduler.devices.allocator import RESULTS_MAX, Class, allocate
from actors.scheduler.devices.holdings import Held, Holdings
from actors.scheduler.devices.pools import Offered, Pools
from actors.scheduler.devices.requests import Asked, Wanted, asked
from protocols.objects import Object
from protocols.rules.device_claims import Device
from tests.scheduler.worlds import make_node

DRIVER = "gpu.example.com"


def device(name: str, **spec: Any) -> Object:
    """Attributes by name: a text, a number, a truth."""
    kinds = {str: "string", int: "int", bool: "bool"}
    attributes = {key: {kinds[type(value)]: value} for key, value in spec.pop("attributes", {}).items()}
    capacity = {key: {"value": value} for key, value in spec.pop("capacity", {}).items()}
    return {"name": name, "attributes": attributes, "capacity": capacity, **spec}


def device_slice(
    name: str, *devices: Object, node: str = "", pool: str = "", generation: int = 1, slices: int = 1, **spec: Any
) -> Object:
    where: Object = {"nodeName": node} if node else {"allNodes": True}
    if "nodeSelector" in spec or "perDeviceNodeSelection" in spec:
        where = {}
    about = {"name": pool or node or name, "generation": generation, "resourceSliceCount": slices}
    return {
        "metadata": {"name": name},
        "spec": {"driver": DRIVER, "pool": about, **where, "devices": list(devices), **spec},
    }


def device_class(name: str, *selectors: str, config: Sequence[Object] = ()) -> Object:
    spec = {"selectors": [{"cel": {"expression": each}} for each in selectors], "config": list(config)}
    return {"metadata": {"name": name}, "spec": spec}


def exactly(name: str = "gpu", number: int = 1, *selectors: str, **spec: Any) -> Object:
    return {"name": name, "exactly": wanted(number, *selectors, **spec)}


def alternative(name: str, number: int = 1, *selectors: str, **spec: Any) -> Object:
    return {"name": name, **wanted(number, *selectors, **spec)}


def wanted(number: int, *selectors: str, **spec: Any) -> Object:
    """`number` 0: all."""
    says = {"allocationMode": "ExactCount", "count": number} if number else {"allocationMode": "All"}
    cel = [{"cel": {"expression": each}} for each in selectors]
    return {"deviceClassName": "gpu", **says, "selectors": cel, **spec}


def claim_spec(*requests: Object, constraints: Sequence[Object] = (), config: Sequence[Object] = ()) -> Object:
    return {"devices": {"requests": list(requests), "constraints": list(constraints), "config": list(config)}}


def pools_of(*slices: Object) -> Pools:
    pools = Pools()
    for each in slices:
        pools.set(each["metadata"]["name"], each)
    return pools


def the_class(name: str) -> Class | None:
    return Class("gpu", (), ()) if name == "gpu" else None


def allocated(
    specs: Sequence[Object], pools: Pools, node: Object | None = None, taken: Sequence[str] = (), pool: str = ""
) -> list[list[tuple[str, str]]] | None:
    """(request, device) of each claim. `taken`: names of devices of that pool."""
    held = Holdings(Held(tuple(Device(DRIVER, pool or "a", name) for name in taken), ()))
    claims = [asked({"spec": spec}) for spec in specs]
    found = allocate(claims, pools.reached_from(node or make_node("a")), the_class, held)
    if found is None:
        return None
    return [[(pick.wanted.name, pick.offered.device.name) for pick in picks.devices] for picks in found]


# -- the slow way -----------------------------------------------------------------------------------------------------

Chosen = list[list[tuple[Wanted, Offered]]]


def first_by_brute_force(
    claims: Sequence[Asked], devices: Sequence[Offered], counters: dict[str, dict[str, int]], taken: set[Device]
) -> Chosen | None:
    """Every way to give devices to all requests, in order; the first that breaks no rule."""
    ways = _ways(
        [(number, request.alternatives) for number, claim in enumerate(claims) for request in claim.requests], devices
    )
    for way in ways:
        chosen: Chosen = [[] for _ in claims]
        for number, wanted, given in way:
            chosen[number] += [(wanted, offered) for offered in given]
        if _breaks_no_rule(claims, chosen, devices, counters, taken):
            return chosen
    return None


def _ways(wants: Sequence[tuple[int, tuple[Wanted, ...]]], devices: Sequence[Offered]) -> Iterator[list[Any]]:
    if not wants:
        yield []
        return
    (number, alternatives), rest = wants[0], wants[1:]
    for wanted in alternatives:
        fitting = [offered for offered in devices if fits(wanted, offered)]
        every = [tuple(fitting)] if fitting else []
        for given in every if wanted.takes_all else combinations_with_replacement(fitting, wanted.number):
            for others in _ways(rest, devices):
                yield [(number, wanted, given), *others]


def fits(wanted: Wanted, offered: Offered) -> bool:
    """The only selector here is `size`."""
    if any((offered.capacity_of(name) or 0) < amount for name, amount in wanted.capacity):
        return False
    size = offered.attribute(f"{DRIVER}/size")
    return all(size is not None and size[1] >= int(each.rpartition(" ")[2]) for each in wanted.selectors)


def _breaks_no_rule(
    claims: Sequence[Asked],
    chosen: Chosen,
    devices: Sequence[Offered],
    counters: dict[str, dict[str, int]],
    taken: set[Device],
) -> bool:
    given: set[Device] = set()
    for picks in chosen:
        own: set[Device] = set()
        for wanted, offered in picks:
            if offered.is_shared and not wanted.admin:
                own.add(offered.device)
                continue
            if offered.device in own or (not wanted.admin and offered.device in given | taken):
                return False
            own.add(offered.device)
            given.add(offered.device)
    for claim, picks in zip(claims, chosen, strict=True):
        if len(picks) > RESULTS_MAX:
            return False
        for wanted, offered in picks:
            tolerated = any(toleration["key"] == "broken" for toleration in wanted.tolerations)
            if offered.spec.get("taints") and not tolerated:
                return False
        for constraint in claim.constraints:
            of = [offered.attribute(constraint.attribute) for wanted, offered in picks if constraint.concerns(wanted)]
            if None in of or len(set(of)) != (len(of) if constraint.distinct else min(len(of), 1)):
                return False
    for shared in (offered for offered in devices if offered.is_shared):
        asks = [dict(wanted.capacity) for picks in chosen for wanted, o in picks if o is shared and not wanted.admin]
        for name, whole in shared.capacity.items():
            if sum(ask.get(name, whole) for ask in asks) > whole:
                return False
    given_now: list[Offered] = []
    for offered in (offered for picks in chosen for _, offered in picks):
        if not offered.is_shared or offered not in given_now:
            given_now.append(offered)
    before = [offered for offered in devices if offered.device in taken]
    for name, amounts in counters.items():
        for counter, amount in amounts.items():
            now, then = (sum(o.consumes.get(name, {}).get(counter, 0) for o in each) for each in (given_now, before))
            if now and now + then > amount:
                return False
    return True
