"""Claims of devices as the scheduler knows them, what devices and classes of them there are, and who has which.

Devices that a decision has given to a claim are taken at once, and stay so until the attempt is over: also when the
claim was seen to have them and to lose them again, for a write whose answer is lost is repeated. Pods without claims
never look here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from actors.scheduler.devices.allocator import Class
from actors.scheduler.devices.answers import Answers
from actors.scheduler.devices.holdings import Held, Holdings, held
from actors.scheduler.devices.kinds import Kinds
from actors.scheduler.devices.pools import Pools
from actors.scheduler.devices.requests import Asked, asked
from protocols.objects import Object, revision_of, uid_of
from protocols.rules.device_claims import (
    CLAIMS,
    CLASSES,
    SLICES,
    USERS_MAX,
    Device,
    allocation_of,
    is_user,
    owning_pod,
    users_of,
)
from protocols.rules.owners import is_deleting

RESOURCES = (CLASSES, SLICES, CLAIMS)
_encode = msgspec.msgpack.Encoder(order="deterministic").encode


class DeviceClaim:
    """`asked` is what it asks for, and `form` the same as bytes: equal for claims that ask alike. `where`: the same of
    `nodes`, empty where that is None."""

    __slots__ = ("asked", "form", "held", "is_allocated", "obj", "where")

    def __init__(self, obj: Object) -> None:
        self.obj = obj
        self.asked: Asked = asked(obj)
        devices = (obj.get("spec") or {}).get("devices") or {}
        self.form = _encode([devices.get("requests"), devices.get("constraints")])
        self.held: Held = held(obj)
        self.is_allocated = allocation_of(obj) is not None
        self.where = _encode(self.nodes) if self.nodes is not None else b""

    @property
    def nodes(self) -> Mapping[str, Any] | None:
        """The node selector of where its devices are, None if that is anywhere."""
        return (allocation_of(self.obj) or {}).get("nodeSelector")

    @property
    def is_deleting(self) -> bool:
        return is_deleting(self.obj)

    @property
    def owner(self) -> str:
        """The uid of the pod that it was made for, "" if for none."""
        return (owning_pod(self.obj) or ("", ""))[1]

    def may_be_used_by(self, uid: str) -> bool:
        return len(users_of(self.obj)) < USERS_MAX or is_user(self.obj, uid)

    def is_only_for(self, uid: str) -> bool:
        """Nobody else may use it now."""
        return all(user.get("uid") == uid for user in users_of(self.obj))

    def decides_like(self, other: DeviceClaim) -> bool:
        mine, others = self.obj.get("status") or {}, other.obj.get("status") or {}
        same = all(mine.get(key) == others.get(key) for key in ("allocation", "reservedFor"))
        who = (uid_of(self.obj), self.is_deleting, self.owner, self.form)
        return same and who == (uid_of(other.obj), other.is_deleting, other.owner, other.form)


class Assumed(NamedTuple):
    """Devices that an attempt to place the pod of that uid has chosen for a claim."""

    pod: str
    held: Held


class Awaited:
    """Pods that may not be tried before their claims are there, by those claims."""

    def __init__(self) -> None:
        self._claims: dict[str, tuple[str, ...]] = {}  # by pod
        self._pods: dict[str, dict[str, None]] = {}  # by claim

    def wait(self, pod: str, claims: Iterable[str]) -> None:
        self.lose(pod)
        self._claims[pod] = tuple(dict.fromkeys(key for key in claims if key))
        for claim in self._claims[pod]:
            self._pods.setdefault(claim, {})[pod] = None

    def lose(self, pod: str) -> None:
        for claim in self._claims.pop(pod, ()):
            del self._pods[claim][pod]
            if not self._pods[claim]:
                del self._pods[claim]

    def pods(self) -> list[str]:
        return list(self._claims)

    def of(self, claim: str) -> list[str]:
        return list(self._pods.get(claim, ()))


class DeviceClaims:
    """`all_seen`: before all claims have been seen it is not known which devices are free."""

    def __init__(self) -> None:
        self.all_seen = True
        self.awaited = Awaited()
        self.pools = Pools()
        self.holdings = Holdings()
        self.kinds = Kinds(self.pools, self.holdings)
        self.answers = Answers()
        self._claims: dict[str, DeviceClaim] = {}
        self._classes: dict[str, Class] = {}
        self._assumed: dict[str, Assumed] = {}

    # -- what is seen ---------------------------------------------------------------------------------------------

    def set(self, resource: str, key: str, obj: Object | None) -> bool:
        """An object was seen, or is gone. Does that matter?"""
        if resource == SLICES:
            return self.pools.set(key, obj)
        return self._set_class(key, obj) if resource == CLASSES else self._set_claim(key, obj)

    def _set_class(self, name: str, obj: Object | None) -> bool:
        before = self._classes.pop(name, None)
        if obj is not None:
            self._classes[name] = _class(name, obj)
        changed = self._classes.get(name) != before
        if changed:
            self.answers.clear()
        return changed

    def _set_claim(self, key: str, obj: Object | None) -> bool:
        """What a watch tells may be older than what was answered to a write."""
        before = self._claims.get(key)
        if before is not None and obj is not None and uid_of(before.obj) == uid_of(obj):
            if revision_of(obj) < revision_of(before.obj):
                return False
        claim = DeviceClaim(obj) if obj is not None else None
        was_allocated = self._is_allocated(key)
        self._claims.pop(key, None)
        if claim is not None:
            self._claims[key] = claim
            self._take(claim.held)
        if (assumed := self._assumed.get(key)) is not None and was_allocated != self._is_allocated(key):
            (self._take if was_allocated else self._give_back)(assumed.held)
        if before is not None:
            self._give_back(before.held)
        if before is None or claim is None:
            return before is not claim
        return not claim.decides_like(before)

    def see_all(self) -> bool:
        """All claims, slices and classes have been seen. Is that news?"""
        news, self.all_seen = not self.all_seen, True
        return news

    # -- what was decided -----------------------------------------------------------------------------------------

    def assume(self, key: str, pod: str, allocation: Object) -> None:
        assert key not in self._assumed, key
        self._assumed[key] = Assumed(pod, held({"status": {"allocation": allocation}}))
        self._take(self._assumed[key].held)

    def release(self, key: str, pod: str) -> None:
        """The attempt is over. What the claim was seen to have stays its own."""
        if (assumed := self._assumed.get(key)) is not None and assumed.pod == pod:
            del self._assumed[key]
            if not self._is_allocated(key):
                self._give_back(assumed.held)

    # -- looking --------------------------------------------------------------------------------------------------

    def get(self, key: str) -> DeviceClaim | None:
        return self._claims.get(key)

    def class_of(self, name: str) -> Class | None:
        return self._classes.get(name)

    def owner_of(self, device: Device) -> str:
        """The claim that has it, for those who explain: it is looked for among all. "" if none has."""
        found = (key for key, claim in self._claims.items() if device in claim.held.devices)
        return next(found, "")

    def is_assumed(self, key: str) -> bool:
        return key in self._assumed

    def check(self) -> None:
        """What is taken is somebody's."""
        seen = (claim.held for claim in self._claims.values())
        assumed = (each.held for key, each in self._assumed.items() if not self._is_allocated(key))
        assert self.holdings == Holdings(*seen, *assumed)

    # -- private --------------------------------------------------------------------------------------------------

    def _is_allocated(self, key: str) -> bool:
        return (claim := self._claims.get(key)) is not None and claim.is_allocated

    def _take(self, held: Held) -> None:
        self.holdings.add(held)
        for device in held.all_devices:
            self.pools.touch(device)

    def _give_back(self, held: Held) -> None:
        self.holdings.remove(held)
        for device in held.all_devices:
            self.pools.touch(device)


def _class(name: str, obj: Object) -> Class:
    spec = obj.get("spec") or {}
    selectors = tuple((each.get("cel") or {}).get("expression") or "" for each in spec.get("selectors") or ())
    return Class(name, selectors, tuple(spec.get("config") or ()))
