"""What a cloud is to Kubernetes: it knows its machines, and gives out addresses of load balancers.

A provider answers from what it knows: it is asked from reconcilers, which do not wait.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple, Protocol

from protocols.objects import Object


class Instance(NamedTuple):
    """A machine. `addresses` are (type, address) pairs as in `status.addresses` of a Node."""

    provider_id: str
    instance_type: str
    zone: str
    region: str
    addresses: tuple[tuple[str, str], ...]


class Provider(Protocol):
    name: str

    def instance(self, node: Object) -> Instance | None:
        """The machine behind a node; None: this cloud does not know it (yet)."""

    def load_balancer_ip(self, service: Object, taken: Collection[str]) -> str | None:
        """An address for a service's load balancer, none of `taken`; None: there is none left for it."""
