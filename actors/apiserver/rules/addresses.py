"""Addresses and networks as fields of today's kinds want them: valid, and written in the one form that is theirs.

Older fields (names.py) take what can be read; there `10.0.0.1/24` and `FE80::1` are as good.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

_LEADING_ZEROS = re.compile(r"(^|[.])0+(?=\d)")
_IP = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
_CIDR = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
_INTERFACE = "must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)"
_MAPPED = "must not {} an IPv4-mapped IPv6 address"

_LINK_LOCAL_MULTICAST = (ipaddress.ip_network("224.0.0.0/24"), ipaddress.ip_network("ff02::/16"))

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def ip(value: str) -> Iterator[str]:
    problems = [*address(value)]
    yield from problems
    if not problems and str(ipaddress.ip_address(value)) != value:
        yield _canonical(str(ipaddress.ip_address(value)))


def address(value: str) -> Iterator[str]:
    """An address as fields take it that are older: it may be written in other ways than the canonical one."""
    found = _address(value)
    if found is None:
        yield _IP
    elif _without_zeros(value) != value:
        yield "must not have leading 0s"
    elif _is_mapped(found):
        yield _MAPPED.format("be")


def are_of_different_families(one: str, other: str) -> bool:
    return len({each.version for each in map(_address, (one, other)) if each is not None}) == 2


def cidr(value: str) -> Iterator[str]:
    """A network: no bit is set behind its prefix."""
    problem = _problem(value, _parts(value), _CIDR)
    if problem:
        yield problem
    else:
        yield from network(value)


def interface(value: str) -> Iterator[str]:
    """An address with the size of its network."""
    problem = _problem(value, _parts(value), _INTERFACE)
    if problem:
        yield problem


def is_one(value: str) -> bool:
    return _address(value) is not None


def network(value: str) -> Iterator[str]:
    """A network as fields take it that are older: it may be written in other ways than the canonical one."""
    parts = _parts(value)
    if parts is None:
        yield _CIDR
    elif _has_zeros(value, parts):
        yield "must not have leading 0s in IP or prefix length"
    elif _is_mapped(parts[0]):
        yield _MAPPED.format("have")
    elif parts[0] != ipaddress.ip_network(f"{parts[0]}/{parts[1]}", strict=False).network_address:
        yield "must not have bits set beyond the prefix length"


def reachable(value: str) -> Iterator[str]:
    """An address that somebody may have. Loopback is one here: nodes and pods of one machine live there."""
    address = _address(value)
    if address is None:
        yield _IP
    elif _without_zeros(value) != value:
        yield "must not have leading 0s"
    elif address.is_unspecified:
        yield f"may not be unspecified ({value})"
    elif address.is_link_local:
        yield "may not be in the link-local range (169.254.0.0/16, fe80::/10)"
    elif any(address in each for each in _LINK_LOCAL_MULTICAST):
        yield "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"


def is_strictly_within(inner: str, outer: str) -> bool:
    """Of two networks; True where one of them is none, which is said elsewhere."""
    try:
        small, large = (ipaddress.ip_network(value, strict=False) for value in (inner, outer))
    except ValueError:
        return True
    return small.version == large.version and small.prefixlen > large.prefixlen and small.network_address in large


def is_dual_stack(first: str, second: str) -> bool:
    """Whether two networks are one of each family; False where one of them is none."""
    parts = [_parts(value) for value in (first, second)]
    return {each[0].version for each in parts if each is not None} == {4, 6}


def _parts(value: str) -> tuple[Address, int] | None:
    text, slash, length = value.partition("/")
    address = _address(text)
    if not slash or address is None or not (length.isascii() and length.isdigit()):
        return None
    return (address, int(length)) if int(length) <= address.max_prefixlen else None


def _problem(value: str, parts: tuple[Address, int] | None, form: str) -> str:
    if parts is None:
        return form
    address, length = parts
    if _has_zeros(value, parts):
        return "must not have leading 0s in IP or prefix length"
    if _is_mapped(address):
        return _MAPPED.format("have")
    canonical = f"{address}/{length}"
    return "" if canonical == value else _canonical(canonical)


def _has_zeros(value: str, parts: tuple[Address, int]) -> bool:
    text, _, written = value.partition("/")
    return _without_zeros(text) != text or str(parts[1]) != written


def _address(value: str) -> Address | None:
    try:
        return None if "%" in value else ipaddress.ip_address(_without_zeros(value))
    except ValueError:
        return None


def _without_zeros(value: str) -> str:
    """IPv4 with leading zeros was read as decimal once, and as octal elsewhere."""
    return value if ":" in value else _LEADING_ZEROS.sub(r"\1", value)


def _is_mapped(address: Address) -> bool:
    return isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None


def _canonical(text: str) -> str:
    return f'must be in canonical form ("{text}")'


def ip_advice(field: str, value: str) -> Iterator[str]:
    """What is warned of where older fields take an address that today's would not."""
    address = _address(value)
    if address is None:
        return
    if isinstance(address, ipaddress.IPv4Address) and str(address) != value:
        yield f'{field}: non-standard IP address "{value}" is invalid: use "{address}"'
    elif str(address) != value:
        yield f'{field}: IPv6 address "{value}" should be in RFC 5952 canonical format ("{address}")'


def cidr_advice(field: str, value: str) -> Iterator[str]:
    parts = _parts(value)
    if parts is None:
        return
    whole = ipaddress.ip_network(f"{parts[0]}/{parts[1]}", strict=False)
    if whole.version == 6 and str(whole) != value:
        yield f'{field}: IPv6 CIDR value "{value}" should be in RFC 5952 canonical format ("{whole}")'
