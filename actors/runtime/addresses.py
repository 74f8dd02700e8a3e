"""Pod addresses: one for each sandbox from the node's podCIDR, in a circle, so that one just freed is not used soon."""

from __future__ import annotations

import ipaddress


class NoAddressLeft(Exception):
    """Every address of the range is taken."""


class Addresses:
    """The first address of the range is the node's own and never given out.

    `shared`: the one address that all pods get where a node cannot have several (loopback outside Linux).
    """

    def __init__(self, cidr: str, shared: str = "") -> None:
        network = ipaddress.ip_network(cidr)
        self.cidr = cidr
        self.shared = shared
        self.node = shared or str(network.network_address + 1)
        self._first = int(network.network_address) + 2
        self._count = max(network.num_addresses - 3, 0)
        self._next = 0
        self._taken: dict[str, None] = {}

    def take(self) -> str:
        if self.shared:
            return self.shared
        if len(self._taken) >= self._count:
            raise NoAddressLeft(f"all {self._count} pod addresses of {self.cidr} are taken")
        while True:
            address = str(ipaddress.ip_address(self._first + self._next % self._count))
            self._next += 1
            if address not in self._taken:
                self._taken[address] = None
                return address

    def give_back(self, address: str) -> None:
        self._taken.pop(address, None)

    @property
    def in_use(self) -> bool:
        return bool(self._taken)
