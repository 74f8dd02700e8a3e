"""What claims ask for: the `devices` of a ResourceClaim's spec, read once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from protocols.objects import Object
from protocols.rules.quantity import parse_quantity


class Wanted(NamedTuple):
    """Devices of one class. `name`: of the request, or `request/alternative`."""

    name: str
    request: str
    class_name: str
    takes_all: bool
    number: int
    selectors: tuple[str, ...]
    admin: bool
    tolerations: tuple[Mapping[str, Any], ...]
    capacity: tuple[tuple[str, int], ...]  # a device must have at least so much of it


class Request(NamedTuple):
    """One of the alternatives; the first that can be had."""

    name: str
    alternatives: tuple[Wanted, ...]


class Constraint(NamedTuple):
    """An attribute that all devices of these requests (none: of all) have in common, or no two of them."""

    requests: frozenset[str]
    attribute: str
    distinct: bool

    def concerns(self, wanted: Wanted) -> bool:
        return not self.requests or wanted.name in self.requests or wanted.request in self.requests


class Asked(NamedTuple):
    requests: tuple[Request, ...]
    constraints: tuple[Constraint, ...]


def asked(claim: Object) -> Asked:
    devices = (claim.get("spec") or {}).get("devices") or {}
    requests = tuple(Request(each["name"], tuple(_alternatives(each))) for each in devices.get("requests") or ())
    return Asked(requests, tuple(_constraint(each) for each in devices.get("constraints") or ()))


def _alternatives(request: Mapping[str, Any]) -> Iterator[Wanted]:
    name = request["name"]
    if (exactly := request.get("exactly")) is not None:
        yield _wanted(name, name, exactly)
    for each in request.get("firstAvailable") or ():
        yield _wanted(f"{name}/{each['name']}", name, each)


def _wanted(name: str, request: str, says: Mapping[str, Any]) -> Wanted:
    selectors = tuple((each.get("cel") or {}).get("expression") or "" for each in says.get("selectors") or ())
    capacity = ((says.get("capacity") or {}).get("requests") or {}).items()
    return Wanted(
        name,
        request,
        says.get("deviceClassName") or "",
        says.get("allocationMode") == "All",
        says.get("count") or 1,
        selectors,
        bool(says.get("adminAccess")),
        tuple(says.get("tolerations") or ()),
        tuple((key, parse_quantity(amount)) for key, amount in capacity),
    )


def _constraint(says: Mapping[str, Any]) -> Constraint:
    attribute = says.get("matchAttribute")
    return Constraint(
        frozenset(says.get("requests") or ()), attribute or says.get("distinctAttribute") or "", attribute is None
    )
