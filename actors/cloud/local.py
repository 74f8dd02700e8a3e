"""The local provider: this machine as a cloud of three zones, whose load balancers have loopback addresses."""

from __future__ import annotations

import ipaddress
import re
import zlib
from collections.abc import Collection

from actors.cloud.provider import Instance
from protocols.objects import Object, name_of

LOAD_BALANCER_CIDR = "127.67.0.0/24"
REGION = "local"
ZONES = ("local-a", "local-b", "local-c")


class LocalProvider:
    """The proxies listen on the load balancers' addresses themselves, so nothing has to be set up for them."""

    name = "local"

    def __init__(self, load_balancer_cidr: str = LOAD_BALANCER_CIDR) -> None:
        self._pool = ipaddress.IPv4Network(load_balancer_cidr)

    def instance(self, node: Object) -> Instance:
        name = name_of(node)
        reported = (node.get("status") or {}).get("addresses") or ()
        addresses = {(entry["type"], entry["address"]): None for entry in reported}
        addresses.setdefault(("Hostname", name))
        return Instance(f"local://{name}", "local", zone_of(name), REGION, tuple(addresses))

    def load_balancer_ip(self, service: Object, taken: Collection[str]) -> str | None:
        wanted = (service.get("spec") or {}).get("loadBalancerIP")
        if wanted:
            return wanted if self._owns(wanted) and wanted not in taken else None
        return next((str(ip) for ip in self._pool.hosts() if str(ip) not in taken), None)

    def _owns(self, ip: str) -> bool:
        try:
            return ipaddress.IPv4Address(ip) in self._pool
        except ValueError:
            return False


def zone_of(node: str) -> str:
    """Numbered nodes take the zones in turn, others by their name."""
    number = re.search(r"\d+$", node)
    return ZONES[(int(number[0]) - 1 if number else zlib.crc32(node.encode())) % len(ZONES)]
