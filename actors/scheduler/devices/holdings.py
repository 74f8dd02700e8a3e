"""Who has which devices: how many claims have each (one, if all is well), and how much of those that are shared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from protocols.objects import Object
from protocols.rules.device_claims import Device, Share, devices_taken, shares_taken


class Held(NamedTuple):
    """What one claim has."""

    devices: tuple[Device, ...]
    shares: tuple[Share, ...]

    @property
    def all_devices(self) -> Iterable[Device]:
        return (*self.devices, *(share.device for share in self.shares))


def held(claim: Object) -> Held:
    return Held(tuple(devices_taken(claim)), tuple(shares_taken(claim)))


class Holdings:
    def __init__(self, *held: Held) -> None:
        self.devices: Counter[Device] = Counter()
        self.shares: dict[Device, Counter[str]] = {}
        self._sharers: Counter[Device] = Counter()
        for each in held:
            self.add(each)

    def add(self, held: Held) -> None:
        self.devices.update(held.devices)
        for device, amounts in held.shares:
            self._sharers[device] += 1
            shared = self.shares.setdefault(device, Counter())
            for name, amount in amounts:
                shared[name] += amount

    def remove(self, held: Held) -> None:
        for device in held.devices:
            self.devices[device] -= 1
            if not self.devices[device]:
                del self.devices[device]
        for device, amounts in held.shares:
            for name, amount in amounts:
                self.shares[device][name] -= amount
            self._sharers[device] -= 1
            if not self._sharers[device]:
                del self._sharers[device], self.shares[device]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Holdings) and (self.devices, self.shares) == (other.devices, other.shares)

    __hash__ = None  # type: ignore[assignment]
