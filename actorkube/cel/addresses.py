"""IP addresses and ranges of them."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

Ip = dict[str, str]
Cidr = dict[str, str]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface


def _parse_ip(text: str) -> Address:
    if "%" in text:
        raise ValueError(f"IP Address {text!r} with zone value is not allowed")
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        raise ValueError(f"IPv4-mapped IPv6 address {text!r} is not allowed")
    return address


def _parse_cidr(text: str) -> Interface:
    address, slash, length = text.partition("/")
    if not slash or not length.isdigit():
        raise ValueError(f"network address parse error during conversion from string: {text!r}")
    _parse_ip(address)
    return ipaddress.ip_interface(text)


def _holds(parse: Callable[[str], object]) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            parse(text)
        except ValueError:
            return False
        return True

    return check


def _ip(text: str) -> Ip:
    return {"IP": str(_parse_ip(text))}


def _cidr(text: str) -> Cidr:
    return {"CIDR": str(_parse_cidr(text))}


def _address(ip: Ip | str) -> Address:
    return _parse_ip(ip if isinstance(ip, str) else ip["IP"])


def _interface(cidr: Cidr | str) -> Interface:
    return _parse_cidr(cidr if isinstance(cidr, str) else cidr["CIDR"])


def _contains_ip(cidr: Cidr, ip: Ip | str) -> bool:
    return _address(ip) in _interface(cidr).network


def _contains_cidr(cidr: Cidr, other: Cidr | str) -> bool:
    whole, part = _interface(cidr).network, _interface(other).network
    if isinstance(whole, ipaddress.IPv4Network) and isinstance(part, ipaddress.IPv4Network):
        return part.subnet_of(whole)
    if isinstance(whole, ipaddress.IPv6Network) and isinstance(part, ipaddress.IPv6Network):
        return part.subnet_of(whole)
    return False


def _is_global_unicast(ip: Ip) -> bool:
    """As Go means it: private addresses too."""
    address = _address(ip)
    special = address.is_unspecified or address.is_loopback or address.is_multicast or address.is_link_local
    return not (special or str(address) == "255.255.255.255")


def _is_link_local_multicast(ip: Ip) -> bool:
    address = _address(ip)
    if address.version == 4:
        return address in ipaddress.ip_network("224.0.0.0/24")
    return address.packed[0] == 0xFF and address.packed[1] & 0x0F == 0x02


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "ip(string) -> IP": _ip,
    "isIP(string) -> bool": _holds(_parse_ip),
    "ip.isCanonical(string) -> bool": lambda text: str(_parse_ip(text)) == text,
    "IP.family() -> int": lambda ip: _address(ip).version,
    "IP.isUnspecified() -> bool": lambda ip: _address(ip).is_unspecified,
    "IP.isLoopback() -> bool": lambda ip: _address(ip).is_loopback,
    "IP.isLinkLocalMulticast() -> bool": _is_link_local_multicast,
    "IP.isLinkLocalUnicast() -> bool": lambda ip: _address(ip).is_link_local,
    "IP.isGlobalUnicast() -> bool": _is_global_unicast,
    "cidr(string) -> CIDR": _cidr,
    "isCIDR(string) -> bool": _holds(_parse_cidr),
    "CIDR.containsIP(IP) -> bool": _contains_ip,
    "CIDR.containsIP(string) -> bool": _contains_ip,
    "CIDR.containsCIDR(CIDR) -> bool": _contains_cidr,
    "CIDR.containsCIDR(string) -> bool": _contains_cidr,
    "CIDR.ip() -> IP": lambda cidr: {"IP": str(_interface(cidr).ip)},
    "CIDR.masked() -> CIDR": lambda cidr: {"CIDR": str(_interface(cidr).network)},
    "CIDR.prefixLength() -> int": lambda cidr: _interface(cidr).network.prefixlen,
}
