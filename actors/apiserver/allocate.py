"""Cluster IPs and node ports: each is given to one Service at a time, exactly.

Who holds what is stored beside the objects, one key for each address or port, written in the same transaction as the
Service (store.py). So a restart, a lost answer or a second API server changes nothing: of two that want the same one,
one transaction is refused. What is chosen here is a proposal, made from what the cache knows to be taken.
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

from actors.apiserver.keys import claim_key
from actors.apiserver.rules.addresses import is_one
from actors.apiserver.rules.field import FieldError, invalid_value
from actors.apiserver.writes import Claim
from protocols.errors import InternalError
from protocols.objects import Object, key_of, uid_of

IPS = "clusterip"
PORTS = "nodeport"
NONE = "None"
_EXTERNAL = ("NodePort", "LoadBalancer")
_BELONGS_TO: dict[tuple[str, ...], tuple[str, ...]] = {
    ("ClusterIP", *_EXTERNAL): ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"),
    _EXTERNAL: ("externalTrafficPolicy",),
    ("LoadBalancer",): ("allocateLoadBalancerNodePorts", "healthCheckNodePort", "loadBalancerClass"),
}


@dataclass(frozen=True, slots=True)
class Ranges:
    """What there is to give. The first address belongs to the Service `kubernetes`."""

    service_cidr: ipaddress.IPv4Network
    node_ports: range = range(30000, 32768)

    @property
    def first_ip(self) -> str:
        return str(self.service_cidr[1])

    @classmethod
    def of(cls, service_cidr: str) -> Ranges:
        return cls(ipaddress.IPv4Network(service_cidr))


@dataclass(frozen=True, slots=True)
class Allocation:
    """The Service with its addresses and ports, what it newly holds, and what it gives back."""

    service: Object
    claims: tuple[Claim, ...]
    releases: tuple[bytes, ...]


class NotAvailable(Exception):
    """An address or a port that was asked for by number cannot be had."""

    def __init__(self, error: FieldError) -> None:
        super().__init__(str(error))
        self.error = error


def allocate(
    service: Object,
    old: Object | None,
    taken: Mapping[str, Container[str]],
    ranges: Ranges,
    chance: random.Random,
) -> Allocation:
    """Give a Service, prepared as it shall be stored, what it still needs.

    Raises NotAvailable, or InternalError when a range is full.
    """
    return _Allocating(service, old, taken, ranges, chance).run()


def releases_of(service: Object) -> tuple[bytes, ...]:
    """The keys to delete together with a Service."""
    return tuple(claim_key(kind, value) for kind, value in held_by(service))


def held_by(service: Object) -> list[tuple[str, str]]:
    """(kind, value) of all that a Service holds."""
    spec = service.get("spec") or {}
    ip = spec.get("clusterIP") or ""
    ports = [port["nodePort"] for port in spec.get("ports") or () if port.get("nodePort")]
    if spec.get("healthCheckNodePort"):
        ports.append(spec["healthCheckNodePort"])
    held = [(IPS, ip)] if ip and ip != NONE else []
    return held + [(PORTS, str(port)) for port in dict.fromkeys(ports)]


class _Allocating:
    def __init__(
        self,
        service: Object,
        old: Object | None,
        taken: Mapping[str, Container[str]],
        ranges: Ranges,
        chance: random.Random,
    ) -> None:
        self.spec: dict[str, Any] = {**(service.get("spec") or {})}
        if self.spec.get("ports"):
            self.spec["ports"] = [{**port} for port in self.spec["ports"]]
        self.service = {**service, "spec": self.spec}
        self.old_spec: dict[str, Any] = (old or {}).get("spec") or {}
        self.mine = dict.fromkeys(held_by(old)) if old is not None else {}
        self.taken = taken
        self.ranges = ranges
        self.chance = chance

    def run(self) -> Allocation:
        if self.old_spec:
            self._drop_what_the_former_type_needed()
        if self.spec.get("type") != "ExternalName":
            self._give_ip()
        self._give_ports()
        holder = f"services/{key_of(self.service)}/{uid_of(self.service)}"
        held = dict.fromkeys(held_by(self.service))
        claims = tuple(Claim(claim_key(kind, value), holder) for kind, value in held if (kind, value) not in self.mine)
        releases = tuple(claim_key(kind, value) for kind, value in self.mine if (kind, value) not in held)
        return Allocation(self.service, claims, releases)

    def _drop_what_the_former_type_needed(self) -> None:
        """A client that changes the type sends the rest back as it was: what the new type cannot have goes."""
        spec, before, type = self.spec, self.old_spec, self.spec.get("type")
        for types, fields in _BELONGS_TO.items():
            if before.get("type") in types and type not in types:
                for field in fields:
                    if spec.get(field) == before.get(field):
                        spec.pop(field, None)
        if before.get("type") in _EXTERNAL and type not in _EXTERNAL:
            for port in spec.get("ports") or ():
                port.pop("nodePort", None)

    def _give_ip(self) -> None:
        spec = self.spec
        given = spec.get("clusterIPs") or []
        ip = spec.get("clusterIP") or (given[0] if given else "")
        if (given and given != [spec.get("clusterIP")]) or (ip not in ("", NONE) and not is_one(ip)):
            return  # validation says why
        if not ip:
            ip = self._free_ip()
        elif ip != NONE and (IPS, ip) not in self.mine and not self._has_one():
            self._check_ip(ip)
        spec["clusterIP"], spec["clusterIPs"] = ip, [ip]
        spec.setdefault("ipFamilies", ["IPv4"])
        spec.setdefault("ipFamilyPolicy", "SingleStack")

    def _has_one(self) -> bool:
        """Then another one is refused for being another, whatever it is (validate/services.py)."""
        return bool(self.old_spec.get("clusterIPs")) and self.old_spec.get("type") != "ExternalName"

    def _free_ip(self) -> str:
        network = self.ranges.service_cidr
        taken = self.taken.get(IPS, ())
        usable = network.num_addresses - 3  # not the network's own, the first (kubernetes) and the broadcast address
        start = self.chance.randrange(usable)
        for step in range(usable):
            ip = str(network[2 + (start + step) % usable])
            if ip not in taken:
                return ip
        raise InternalError("Internal error occurred: failed to allocate a serviceIP: range is full")

    def _check_ip(self, ip: str) -> None:
        failed = f"failed to allocate IP {ip}: "
        try:
            inside = ipaddress.IPv4Address(ip) in self.ranges.service_cidr
        except ValueError:
            inside = False
        if not inside:
            why = f"the provided IP ({ip}) is not in the valid range. "
            why += f"The range of valid IPs is {self.ranges.service_cidr}"
            raise NotAvailable(invalid_value("spec.clusterIPs", [ip], failed + why))
        if ip in self.taken.get(IPS, ()):
            raise NotAvailable(invalid_value("spec.clusterIPs", [ip], failed + "provided IP is already allocated"))

    def _give_ports(self) -> None:
        chosen: dict[int, None] = {}
        if self._wants_node_ports():
            for index, port in enumerate(self.spec.get("ports") or ()):
                chosen[self._give_port(index, port, chosen)] = None
        if self.spec.get("type") == "LoadBalancer":
            self._give_health_check_port(chosen)

    def _give_health_check_port(self, chosen: Mapping[int, None]) -> None:
        """By which a load balancer asks a node whether it has endpoints of its own."""
        number = self.spec.get("healthCheckNodePort")
        if self.spec.get("externalTrafficPolicy") != "Local":
            if number and number == self.old_spec.get("healthCheckNodePort"):
                del self.spec["healthCheckNodePort"]  # sent back as it was, by who changed the policy
        elif not number:
            self.spec["healthCheckNodePort"] = self._free_port(chosen)
        elif (PORTS, str(number)) not in self.mine:
            self._check_port("spec.healthCheckNodePort", number)

    def _wants_node_ports(self) -> bool:
        type = self.spec.get("type")
        return type == "NodePort" or (
            type == "LoadBalancer" and self.spec.get("allocateLoadBalancerNodePorts") is not False
        )

    def _give_port(self, index: int, port: dict[str, Any], chosen: Mapping[int, None]) -> int:
        """A port keeps the number it has; two protocols of one port may share a number."""
        number = port.get("nodePort")
        if not number:
            number = self._free_port(chosen)
        elif (PORTS, str(number)) not in self.mine and number not in chosen:
            self._check_port(f"spec.ports[{index}].nodePort", number)
        port["nodePort"] = number
        return int(number)

    def _free_port(self, chosen: Mapping[int, None]) -> int:
        ports, taken = self.ranges.node_ports, self.taken.get(PORTS, ())
        start = self.chance.randrange(len(ports))
        for step in range(len(ports)):
            number = ports[(start + step) % len(ports)]
            if str(number) not in taken and number not in chosen:
                return number
        raise InternalError("Internal error occurred: failed to allocate a nodePort: range is full")

    def _check_port(self, field: str, number: int) -> None:
        if number not in self.ranges.node_ports:
            low, high = self.ranges.node_ports[0], self.ranges.node_ports[-1]
            why = f"provided port is not in the valid range. The range of valid ports is {low}-{high}"
            raise NotAvailable(invalid_value(field, number, why))
        if str(number) in self.taken.get(PORTS, ()):
            raise NotAvailable(invalid_value(field, number, "provided port is already allocated"))
