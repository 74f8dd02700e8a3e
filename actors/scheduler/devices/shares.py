"""Shares of a device that several claims may have (`allowMultipleAllocations`, KEP-5075): how much one takes.

What a request does not say, the capacity's policy does, or all of it is taken; what it says is rounded up to what the
policy allows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actors.scheduler.devices.pools import Offered
from actors.scheduler.devices.requests import Wanted
from protocols.rules.quantity import parse_quantity

Amounts = Mapping[str, int]


def share(offered: Offered, wanted: Wanted) -> Amounts | None:
    """None: the device cannot give what is asked for, whatever others have of it."""
    asked = dict(wanted.capacity)
    if not asked.keys() <= offered.capacity.keys():
        return None
    amounts: dict[str, int] = {}
    for name, whole in offered.capacity.items():
        amount = _amount(asked.get(name), whole, _policy(offered, name))
        if amount is None or amount > whole:
            return None
        amounts[name] = amount
    return amounts


def _policy(offered: Offered, name: str) -> Mapping[str, Any]:
    return offered.spec["capacity"][name].get("requestPolicy") or {}


def _amount(asked: int | None, whole: int, policy: Mapping[str, Any]) -> int | None:
    default = parse_quantity(policy["default"]) if policy.get("default") is not None else None
    if asked is None:
        return whole if default is None else default
    if asked == default:
        return asked
    if (bounds := policy.get("validRange")) is not None:
        return _within(asked, bounds)
    if values := policy.get("validValues"):
        return min((each for each in map(parse_quantity, values) if each >= asked), default=None)
    return asked


def _within(asked: int, bounds: Mapping[str, Any]) -> int | None:
    known = {key: parse_quantity(bounds[key]) for key in ("min", "max", "step") if bounds.get(key) is not None}
    least = known.get("min", 0)
    amount = max(asked, least)
    if step := known.get("step"):
        amount = least + -(-(amount - least) // step) * step
    return amount if amount <= known.get("max", amount) else None
