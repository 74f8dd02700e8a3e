"""Each cluster IP that a Service holds is an IPAddress as well, written and deleted in its transaction (KEP-1880).

What decides who holds an address is the claim (allocate.py); an IPAddress that somebody else made is in the way, too.
"""

from __future__ import annotations

from collections.abc import Callable, Container

from actors.apiserver.allocate import IPS, Allocation
from actors.apiserver.keys import claim_key, store_key
from actors.apiserver.writes import Claim
from protocols.objects import Object, encode_object, name_of, namespace_of
from protocols.rules.times import time_of

ADDRESSES = "ipaddresses.networking.k8s.io"
_PREFIX = claim_key(IPS, "")
_LABELS = {
    "ipaddress.kubernetes.io/ip-family": "IPv4",
    "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
}


class Taken:
    """The addresses that a Service or an IPAddress has."""

    def __init__(self, claimed: Container[str], addresses: Container[str]) -> None:
        self._claimed = claimed
        self._addresses = addresses

    def __contains__(self, ip: object) -> bool:
        return ip in self._claimed or ip in self._addresses


def recorded(allocation: Allocation, now: float, uid: Callable[[], str]) -> Allocation:
    """With the IPAddresses that come and go with what is allocated."""
    come = [claim.key for claim in allocation.claims if claim.key.startswith(_PREFIX)]
    gone = [key for key in allocation.releases if key.startswith(_PREFIX)]
    if not (come or gone):
        return allocation
    made = tuple(
        Claim(_key(key), body=encode_object(_address(_ip(key), allocation.service, now, uid()))) for key in come
    )
    return Allocation(
        allocation.service, (*allocation.claims, *made), (*allocation.releases, *(_key(key) for key in gone))
    )


def released(releases: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """The keys that are deleted with a Service, and those of its IPAddresses."""
    return (*releases, *(_key(key) for key in releases if key.startswith(_PREFIX)))


def _ip(claim: bytes) -> str:
    return claim.removeprefix(_PREFIX).decode()


def _key(claim: bytes) -> bytes:
    return store_key(ADDRESSES, _ip(claim))


def _address(ip: str, service: Object, now: float, uid: str) -> Object:
    parent = {"name": name_of(service), "namespace": namespace_of(service), "resource": "services"}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IPAddress",
        "metadata": {"name": ip, "uid": uid, "creationTimestamp": time_of(now), "labels": _LABELS},
        "spec": {"parentRef": parent},
    }
