"""What devices there are: ResourceSlices, put together to the pools of their drivers, and what of them a node reaches.

A driver replaces a pool by slices of a higher generation, one after the other; each slice says of how many its
generation is. A pool is what its newest slices say, and as long as some of them are missing, nothing is had of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from actors.scheduler.devices.looks import Names, short_name
from protocols.objects import Object, name_of
from protocols.rules.affinity import node_selector_matches
from protocols.rules.device_claims import Device
from protocols.rules.quantity import parse_quantity

Counters = Mapping[str, Mapping[str, int]]  # set -> counter -> amount
PoolId = tuple[str, str]  # driver, name
Stamp = tuple[int, int, int]
_NO_COUNTERS: Counters = {}
_CALLED = {"name", "nodeName", "nodeSelector", "allNodes"}  # what a device is called, and where it is
_encode = msgspec.msgpack.Encoder(order="deterministic").encode


class Place(NamedTuple):
    """Where a device can be used: on one node, on those that a selector selects, or (both empty) on every node."""

    node: str
    selector: Mapping[str, Any] | None

    def reaches(self, node: Object) -> bool:
        if self.node:
            return self.node == name_of(node)
        return self.selector is None or node_selector_matches(self.selector, node)


class Offered:
    """A device of a slice. `is_shared`: several claims may have it. `known`: what expressions have said of it, which is
    good as long as the slice is."""

    __slots__ = ("capacity", "consumes", "device", "is_shared", "known", "place", "spec")

    def __init__(self, device: Device, spec: Mapping[str, Any], place: Place) -> None:
        self.device = device
        self.spec = spec
        self.place = place
        self.consumes = _counters(spec.get("consumesCounters") or (), "counterSet")
        self.capacity = {key: parse_quantity(each["value"]) for key, each in (spec.get("capacity") or {}).items()}
        self.is_shared = bool(spec.get("allowMultipleAllocations"))
        self.known: dict[str, bool] = {}

    def attribute(self, name: str) -> tuple[str, Any] | None:
        """Kind and value, by `domain/name`: attributes without a domain are in that of the driver."""
        attributes = self.spec.get("attributes") or {}
        domain, _, short = name.partition("/")
        found = attributes.get(name) or (attributes.get(short) if domain == self.device.driver else None)
        return next(iter(found.items()), None) if found else None

    def seen(self, names: Names) -> Mapping[str, Any]:
        """What matters of it to those who look at these attributes; not what it is called, nor where it is."""
        says = {key: value for key, value in self.spec.items() if key not in _CALLED}
        if names is not None and (attributes := says.get("attributes")):
            says["attributes"] = {key: value for key, value in attributes.items() if short_name(key) in names}
        return says

    def capacity_of(self, name: str) -> int | None:
        domain, _, short = name.partition("/")
        found = self.capacity.get(name)
        return self.capacity.get(short) if found is None and domain == self.device.driver else found


class Reached(NamedTuple):
    """What a node reaches of a pool. `problem`: why nothing can be had of it; `consumers`: of the whole pool."""

    id: PoolId
    devices: tuple[Offered, ...]
    counters: Counters = _NO_COUNTERS
    consumers: tuple[Offered, ...] = ()
    is_incomplete: bool = False
    is_invalid: bool = False


class Part(NamedTuple):
    """What of a pool is on one node. `content` is equal where the devices are alike in all that anybody looks at, in
    the same order, and share the same with others; `devices`: who has them matters there."""

    id: PoolId
    content: bytes
    devices: tuple[Device, ...]


class _Slice(NamedTuple):
    pool: PoolId
    generation: int
    slices: int
    devices: tuple[Offered, ...]
    counters: Counters


class _Pool:
    """`version` changes with what there is of it, and with who has it. No two pools ever have the same."""

    def __init__(self, id: PoolId) -> None:
        self.id = id
        self.version = 0
        self.slices: dict[str, _Slice] = {}
        self._newest: list[_Slice] = []

    def renew(self) -> None:
        generation = max((each.generation for each in self.slices.values()), default=0)
        names = sorted(name for name, each in self.slices.items() if each.generation == generation)
        self._newest = [self.slices[name] for name in names]
        self.devices = [offered for each in self._newest for offered in each.devices]
        self.nodes = {offered.place.node for offered in self.devices}
        self.has_selectors = any(offered.place.selector is not None for offered in self.devices)
        self.is_incomplete = bool(self._newest) and len(self._newest) != self._newest[0].slices
        self.counters, self.problem = _merged(self._newest)
        self.consumers = tuple(offered for offered in self.devices if offered.consumes)
        self._by_node: dict[str, list[Offered]] = {}
        for offered in self.devices:
            self._by_node.setdefault(offered.place.node, []).append(offered)
        self._parts: dict[tuple[str, Names], Part] = {}

    def nodes_of(self, device: Device) -> set[str]:
        """The nodes that see it when somebody else has the device."""
        if len(self.nodes) < 2 or self.consumers:
            return self.nodes
        return {offered.place.node for offered in self.devices if offered.device == device}

    def part(self, node: str, names: Names) -> Part:
        known = self._parts.get((node, names))
        if known is None:
            own = self._by_node[node]
            here = {offered.device for offered in own}
            others = [offered for offered in self.consumers if offered.device not in here]
            is_wrong = self.is_incomplete, self.problem, len(here) < len(own)
            says = [[each.seen(names) for each in some] for some in (own, others)]
            content = blake2b(_encode((self.id[0], is_wrong, says, self.counters)), digest_size=16).digest()
            devices = tuple(each.device for each in (*own, *others))
            self._parts = {} if len(self._parts) >= len(self.nodes) else self._parts  # others looked at less
            known = self._parts[node, names] = Part(self.id, content, devices)
        return known

    def reached_from(self, node: Object) -> Reached | None:
        anywhere = self._reached_elsewhere(node)
        found = self._by_node.get(name_of(node), [])
        if anywhere and found:  # in the order in which the slices tell of them
            wanted = {id(offered) for offered in (*anywhere, *found)}
            found = [offered for offered in self.devices if id(offered) in wanted]
        devices = tuple(found or anywhere)
        if not devices:
            return None
        if self.is_incomplete:
            return Reached(self.id, (), is_incomplete=True)
        if self.problem or len({offered.device for offered in devices}) < len(devices):
            return Reached(self.id, (), is_invalid=True)
        return Reached(self.id, devices, self.counters, self.consumers)

    def _reached_elsewhere(self, node: Object) -> list[Offered]:
        """Of those that are not on one node. Devices of a slice have their selector in common, mostly."""
        reached: dict[int, bool] = {}
        found = []
        for offered in self._by_node.get("", ()):
            place = offered.place
            is_reached = reached.get(id(place.selector))
            if is_reached is None:
                is_reached = reached[id(place.selector)] = place.reaches(node)
            if is_reached:
                found.append(offered)
        return found


class Pools:
    """`version` changes with every slice that says something else than before, `far_version` when somebody else has a
    device that is not on one node."""

    def __init__(self) -> None:
        self.version = 0
        self.far_version = 0
        self._changes = 0
        self._changed: set[str] = set()  # nodes
        self._pool_of: dict[str, PoolId] = {}  # by the slice's name
        self._pools: dict[PoolId, _Pool] = {}
        self._on_node: dict[str, dict[PoolId, None]] = {}  # "": those that are not on one node

    def set(self, name: str, obj: Object | None) -> bool:
        """A slice was seen, or is gone. Does that matter?"""
        new = _slice(obj) if obj is not None else None
        known = self._pool_of.get(name)
        before = self._pools[known].slices.get(name) if known is not None else None
        if before is not None and new is not None and _says_the_same(before, new):
            return False
        if known is not None:
            self._change(known, name, None)
            del self._pool_of[name]
        if new is not None:
            self._pool_of[name] = new.pool
            self._change(new.pool, name, new)
        self.version += known is not None or new is not None
        return known is not None or new is not None

    def touch(self, device: Device) -> None:
        """Somebody else has the device now, or nobody."""
        pool = self._pools.get((device.driver, device.pool))
        if pool is not None:
            self._renew_version(pool)
            self.far_version += "" in pool.nodes
            self._changed |= pool.nodes_of(device)

    def take_changed(self) -> Collection[str]:
        """The nodes whose own pools have changed, or who has what of them, since it was asked for last."""
        changed, self._changed = self._changed - {""}, set()
        return changed

    def change_all(self) -> None:
        """They are all looked at anew."""
        self._changed |= self._on_node.keys()

    def own_parts(self, node: str, names: Names) -> list[Part]:
        """As those see them who look at attributes of these names."""
        return [self._pools[id].part(node, names) for id in sorted(self._on_node.get(node, ()))]

    def far_drivers(self) -> frozenset[str]:
        """Those of pools that have devices which are not on one node."""
        return frozenset(driver for driver, _ in self._on_node.get("", ()))

    def far_selectors(self) -> list[Mapping[str, Any]]:
        """Those of all devices that are not on one node, each once."""
        found = {
            _encode(offered.place.selector): offered.place.selector
            for id in self._on_node.get("", ())
            for offered in self._pools[id].devices
            if offered.place.selector is not None
        }
        return list(found.values())

    def stamp(self, node: str, labels_version: int) -> Stamp:
        """Changes with what a node reaches, and with who has it. `labels_version`: changes with nodes' labels.

        What comes or changes is the latest, and what goes makes them fewer; so there is no way back to a stamp."""
        latest, count, selects = 0, 0, 0
        for id in self._ids(node):
            pool = self._pools[id]
            latest, count = max(latest, pool.version), count + 1
            selects = labels_version if pool.has_selectors else selects
        return latest, count, selects

    def reached_from(self, node: Object) -> list[Reached]:
        found = (self._pools[id].reached_from(node) for id in sorted(self._ids(name_of(node))))
        return [reached for reached in found if reached is not None]

    def _ids(self, node: str) -> Iterable[PoolId]:
        own, anywhere = self._on_node.get(node), self._on_node.get("")
        if own and anywhere:
            return {**own, **anywhere}
        return own or anywhere or ()

    def _renew_version(self, pool: _Pool) -> None:
        self._changes += 1
        pool.version = self._changes

    def _change(self, id: PoolId, name: str, new: _Slice | None) -> None:
        pool = self._pools.get(id)
        if pool is None:
            pool = self._pools[id] = _Pool(id)
            pool.renew()
        self._changed |= pool.nodes
        for node in pool.nodes:
            self._on_node[node].pop(id, None)
            if not self._on_node[node]:
                del self._on_node[node]
        if new is None:
            pool.slices.pop(name, None)
        else:
            pool.slices[name] = new
        self._renew_version(pool)
        pool.renew()
        if not pool.slices:
            del self._pools[id]
        self._changed |= pool.nodes
        for node in pool.nodes:
            self._on_node.setdefault(node, {})[id] = None


def _slice(obj: Object) -> _Slice:
    spec = obj.get("spec") or {}
    pool = spec.get("pool") or {}
    id = (spec.get("driver") or "", pool.get("name") or "")
    devices = tuple(Offered(Device(*id, each["name"]), each, place) for each, place in _placed(spec))
    counters = _counters(spec.get("sharedCounters") or (), "name")
    return _Slice(id, pool.get("generation") or 0, pool.get("resourceSliceCount") or 0, devices, counters)


def _placed(spec: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], Place]]:
    """The devices with where each is: the slice says it of all, or each of itself."""
    for device in spec.get("devices") or ():
        says = device if spec.get("perDeviceNodeSelection") else spec
        if says.get("nodeName") or says.get("nodeSelector") is not None or says.get("allNodes"):
            yield (
                device,
                Place(says.get("nodeName") or "", says.get("nodeSelector") if not says.get("nodeName") else None),
            )


def _counters(sets: Iterable[Mapping[str, Any]], key: str) -> Counters:
    return {
        each[key]: {name: parse_quantity(counter["value"]) for name, counter in (each.get("counters") or {}).items()}
        for each in sets
    } or _NO_COUNTERS


def _merged(slices: Iterable[_Slice]) -> tuple[Counters, bool]:
    """All counters of a pool; and whether one is there twice, or a device needs one that is not there."""
    slices = list(slices)
    merged: dict[str, Mapping[str, int]] = {}
    problem = False
    for each in slices:
        problem = problem or not merged.keys().isdisjoint(each.counters)
        merged.update(each.counters)
    for offered in (offered for each in slices for offered in each.devices):
        for name, counters in offered.consumes.items():
            problem = problem or not counters.keys() <= merged.get(name, {}).keys()
    return merged or _NO_COUNTERS, problem


def _says_the_same(one: _Slice, other: _Slice) -> bool:
    if (one.pool, one.generation, one.slices, one.counters) != (
        other.pool,
        other.generation,
        other.slices,
        other.counters,
    ):
        return False
    return [(each.spec, each.place) for each in one.devices] == [(each.spec, each.place) for each in other.devices]
