"""Expressions about `device`: whether a class or a request takes a device.

What an expression says of a device is remembered with the device, so that it is asked once for as long as the slice
stays as it is; and for all devices that are alike in what it looks at. (k8s.io/dynamic-resource-allocation/cel.)
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from actors.scheduler.devices.looks import looks_at
from actors.scheduler.devices.pools import Offered

if TYPE_CHECKING:
    from actorkube.cel.engine import Environment, Program

_PROGRAMS_MAX = 1024
_ALIKE_MAX = 4096
_KNOWN_MAX = 256  # expressions about one device
_alike: dict[tuple[str, str, bytes], bool] = {}
_encode = msgspec.msgpack.Encoder(order="deterministic").encode
_DOMAIN = re.compile(r"""(attributes|capacity)\s*\[\s*(["'])([^"']+)\2\s*]""")


class SelectorFailed(Exception):
    """The message says what is wrong, and on which device; it goes on after the selector's number."""


class _Compiled(NamedTuple):
    program: Program
    domains: dict[str, frozenset[str]]  # what it looks into of attributes and of capacity


def takes(expression: str, offered: Offered) -> bool:
    """Raises SelectorFailed."""
    known = offered.known.get(expression)
    if known is None:
        known = _looked_up(expression, offered)
        if len(offered.known) >= _KNOWN_MAX:
            offered.known.clear()
        offered.known[expression] = known
    return known


def _looked_up(expression: str, offered: Offered) -> bool:
    names = looks_at(expression)
    if names is None:
        return _evaluated(expression, offered)
    seen = expression, offered.device.driver, _encode(offered.seen(names))
    known = _alike.get(seen)
    if known is None:
        if len(_alike) >= _ALIKE_MAX:
            _alike.clear()
        known = _alike[seen] = _evaluated(expression, offered)
    return known


def _evaluated(expression: str, offered: Offered) -> bool:
    from actorkube.cel.engine import EvaluationError, OutOfBudget  # cel-cpp: loaded with the first of them

    compiled = _compiled(expression)
    if isinstance(compiled, str):
        raise SelectorFailed(f": CEL compile error: {compiled}")
    try:
        answer = compiled.program({"device": _value(offered, compiled.domains)})
    except OutOfBudget:
        raise _failed(offered, "operation cancelled: actual cost limit exceeded") from None
    except EvaluationError as error:
        raise _failed(offered, str(error)) from None
    if not isinstance(answer, bool):
        raise _failed(offered, f"the expression is not a bool but a {type(answer).__name__}")
    return answer


def _failed(offered: Offered, why: str) -> SelectorFailed:
    return SelectorFailed(f" on device {offered.device}: CEL runtime error: {why}")


@lru_cache(maxsize=_PROGRAMS_MAX)
def _compiled(expression: str) -> _Compiled | str:
    from actorkube.cel.engine import CompileError

    try:
        program = _environment().compile(expression)
    except CompileError as error:
        return str(error)
    domains: dict[str, set[str]] = {"attributes": set(), "capacity": set()}
    for what, _, domain in _DOMAIN.findall(expression):
        domains[what].add(domain)
    return _Compiled(program, {what: frozenset(named) for what, named in domains.items()})


@cache
def _environment() -> Environment:
    from actorkube.cel.engine import Environment

    return Environment({"device": "dyn"})


def _value(offered: Offered, domains: dict[str, frozenset[str]]) -> dict[str, Any]:
    """The device as CEL sees it. A domain that it has nothing of is empty, not missing."""
    from actorkube.cel.quantities import of_nanos

    driver = offered.device.driver
    attributes = {key: _attribute(each) for key, each in (offered.spec.get("attributes") or {}).items()}
    capacity = {key: of_nanos(amount) for key, amount in offered.capacity.items()}
    return {
        "driver": driver,
        "attributes": _by_domain(attributes, driver, domains["attributes"]),
        "capacity": _by_domain(capacity, driver, domains["capacity"]),
        "allowMultipleAllocations": bool(offered.spec.get("allowMultipleAllocations")),
    }


def _attribute(says: dict[str, Any]) -> Any:
    if "version" in says:
        return {"Semver": says["version"]}
    return next(iter(says.values()), None)


def _by_domain(values: dict[str, Any], driver: str, asked: frozenset[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {domain: {} for domain in asked}
    for key, value in values.items():
        domain, slash, name = key.rpartition("/")
        found.setdefault(domain if slash else driver, {})[name] = value
    return found
