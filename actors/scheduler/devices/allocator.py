"""Who gets which devices: claims, the pools that a node reaches, and what is taken, in; one device after another, out.

An exhaustive search in a fixed order: claim after claim, request after request, its alternatives in their order, and
for each device that is wanted the first that will do. What was chosen is taken back where it leads nowhere. The devices
of one request are chosen in the order of the pools, as their order means nothing; so equal solutions are not tried one
by one. `STEPS_MAX` bounds what a hopeless case can cost. (k8s.io/dynamic-resource-allocation/structured.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from actors.scheduler.devices.holdings import Holdings
from actors.scheduler.devices.pools import Offered, PoolId, Reached
from actors.scheduler.devices.requests import Asked, Constraint, Request, Wanted
from actors.scheduler.devices.selectors import SelectorFailed, takes
from actors.scheduler.devices.shares import Amounts, share
from protocols.rules.device_claims import Device
from protocols.rules.taints import untolerated

RESULTS_MAX = 32  # devices of one claim
STEPS_MAX = 20_000
_NOTHING: Counter[str] = Counter()


class CannotAllocate(Exception):
    """Something is wrong with the claims, a class or a pool, so that no devices can be chosen on this node.

    `claim`: which of them it is about (-1: none); then the text goes on after the claim's name. `names`: the text is
    about a device or a pool, by name."""

    def __init__(self, claim: int, text: str, names: bool = False) -> None:
        super().__init__(text)
        self.claim = claim
        self.names = names


class Class(NamedTuple):
    name: str
    selectors: tuple[str, ...]
    config: tuple[Mapping[str, Any], ...]


class Pick(NamedTuple):
    """`share`: how much of a device that others may have, too."""

    wanted: Wanted
    offered: Offered
    share: Amounts | None = None


class Picks(NamedTuple):
    """Of one claim: its devices, and which alternative of each request was chosen."""

    devices: tuple[Pick, ...]
    chosen: tuple[Wanted, ...]


def allocate(
    claims: Sequence[Asked],
    pools: Sequence[Reached],
    classes: Callable[[str], Class | None],
    taken: Holdings,
    steps_max: int = STEPS_MAX,
) -> list[Picks] | None:
    """The first solution; None: there is none. Raises CannotAllocate."""
    search = _Search(claims, pools, classes, taken, steps_max)
    if search.run():
        return [search.picks(claim) for claim in range(len(claims))]
    if any(pool.is_invalid for pool in pools):
        raise CannotAllocate(-1, "invalid resource pools were encountered")
    return None


class _Position(NamedTuple):
    """The next thing to choose. `wanted` None: an alternative of that request; else its device of that number, from
    `start` on in the order of all devices."""

    claim: int
    request: int
    wanted: Wanted | None = None
    number: int = 0
    start: int = 0


class _Move(NamedTuple):
    after: _Position
    alternative: Wanted | None = None
    pick: Pick | None = None


class _Search:
    def __init__(
        self,
        claims: Sequence[Asked],
        pools: Sequence[Reached],
        classes: Callable[[str], Class | None],
        taken: Holdings,
        steps_max: int,
    ) -> None:
        self._claims = claims
        self._pools = pools
        self._classes = classes
        self._taken = taken
        self._steps = steps_max
        self._usable = [(pool, offered) for pool in pools for offered in pool.devices]
        self._pool_of = {offered.device: pool for pool, offered in self._usable}
        self._chosen: list[list[Wanted]] = [[] for _ in claims]
        self._picks: list[list[Pick]] = [[] for _ in claims]
        self._users: dict[Device, Counter[int]] = {}  # device -> claims that it is being given to
        self._shares: dict[Device, Counter[str]] = {}  # of devices that are being shared
        self._spent: dict[PoolId, Counter[tuple[str, str]]] = {}
        self._all: dict[tuple[int, str], list[Offered]] = {}
        self._check()

    def picks(self, claim: int) -> Picks:
        return Picks(tuple(self._picks[claim]), tuple(self._chosen[claim]))

    def run(self) -> bool:
        """Depth first, with a stack of its own: what is still to be tried, and what was done to come there."""
        untried = [self._moves(_Position(0, 0))]
        done: list[_Move] = []
        while untried:
            move = next(untried[-1], None)
            if move is None:
                untried.pop()
                if done:
                    self._undo(done.pop())
                continue
            self._steps -= 1
            if self._steps < 0:
                raise CannotAllocate(-1, "timed out trying to allocate devices")
            self._do(move)
            if move.after.claim >= len(self._claims):
                return True
            done.append(move)
            untried.append(self._moves(move.after))
        return False

    # -- before it begins -----------------------------------------------------------------------------------------

    def _check(self) -> None:
        """Every class is there; "all" is known; and what is asked for fits into a claim's status."""
        for number, claim in enumerate(self._claims):
            least = sum(min(self._count(number, each) for each in request.alternatives) for request in claim.requests)
            if least > RESULTS_MAX:
                raise CannotAllocate(
                    number, f": number of requested devices {least} exceeds the claim limit of {RESULTS_MAX}"
                )

    def _count(self, claim: int, wanted: Wanted) -> int:
        if self._classes(wanted.class_name) is None:
            missing = f'deviceclass.resource.k8s.io "{wanted.class_name}" not found'
            text = f", request {_short(wanted)}: could not retrieve device class {wanted.class_name}: {missing}"
            raise CannotAllocate(claim, text)
        if not wanted.takes_all:
            return wanted.number
        for pool in self._pools:
            if pool.is_incomplete or pool.is_invalid:
                state = "currently being updated" if pool.is_incomplete else "currently invalid"
                why = f"asks for all devices, but resource pool {'/'.join(pool.id)} is {state}"
                raise CannotAllocate(claim, f", request {_short(wanted)}: {why}", names=True)
        found = [offered for _, offered in self._usable if self._takes(claim, wanted, offered)]
        self._all[claim, wanted.name] = found
        return len(found)

    # -- what can be done -----------------------------------------------------------------------------------------

    def _moves(self, at: _Position) -> Iterator[_Move]:
        claim = self._claims[at.claim] if at.claim < len(self._claims) else None
        if claim is None or at.request >= len(claim.requests):
            yield _Move(_Position(at.claim + 1, 0))
        elif at.wanted is None:
            yield from self._alternatives(at, claim.requests[at.request])
        else:
            yield from self._devices(at, at.wanted)

    def _alternatives(self, at: _Position, request: Request) -> Iterator[_Move]:
        for wanted in request.alternatives:
            count = len(self._all[at.claim, wanted.name]) if wanted.takes_all else wanted.number
            if count and len(self._picks[at.claim]) + count <= RESULTS_MAX:  # "all" are at least one
                yield _Move(at._replace(wanted=wanted), alternative=wanted)

    def _devices(self, at: _Position, wanted: Wanted) -> Iterator[_Move]:
        every = self._all.get((at.claim, wanted.name), ())
        if at.number >= (len(every) if wanted.takes_all else wanted.number):
            yield _Move(_Position(at.claim, at.request + 1))
        elif wanted.takes_all:
            offered = every[at.number]
            if self._is_free(at.claim, wanted, offered) and self._may(at.claim, wanted, offered, must=True):
                yield _Move(at._replace(number=at.number + 1), pick=self._pick(wanted, offered))
        else:
            for number in range(at.start, len(self._usable)):
                offered = self._usable[number][1]
                if not self._is_free(at.claim, wanted, offered) or not self._takes(at.claim, wanted, offered):
                    continue
                if self._may(at.claim, wanted, offered, must=False):
                    again = offered.is_shared and not wanted.admin  # it may be given once more
                    after = at._replace(number=at.number + 1, start=number if again else number + 1)
                    yield _Move(after, pick=self._pick(wanted, offered))

    def _pick(self, wanted: Wanted, offered: Offered) -> Pick:
        return Pick(wanted, offered, share(offered, wanted) if offered.is_shared and not wanted.admin else None)

    def _is_free(self, claim: int, wanted: Wanted, offered: Offered) -> bool:
        """Access for administrators is to what others may have, though not twice in one claim."""
        users = self._users.get(offered.device)
        if wanted.admin:
            return not users or not users[claim]
        if offered.is_shared:
            return self._has_room(wanted, offered)
        return not users and offered.device not in self._taken.devices

    def _has_room(self, wanted: Wanted, offered: Offered) -> bool:
        """Enough of each capacity is left."""
        amounts = share(offered, wanted)
        if amounts is None:
            return False
        held = [shares.get(offered.device, _NOTHING) for shares in (self._taken.shares, self._shares)]
        return all(sum(h[name] for h in held) + each <= offered.capacity[name] for name, each in amounts.items())

    def _takes(self, claim: int, wanted: Wanted, offered: Offered) -> bool:
        """Devices that a pod must wait for once it is placed are never taken (DRADeviceBindingConditions)."""
        if offered.spec.get("bindingConditions"):
            return False
        if any((offered.capacity_of(k) or 0) < amount for k, amount in wanted.capacity):
            return False
        cls = self._classes(wanted.class_name)
        assert cls is not None
        for expressions, whose in ((cls.selectors, cls.name), (wanted.selectors, "")):
            for number, expression in enumerate(expressions):
                try:
                    if not takes(expression, offered):
                        return False
                except SelectorFailed as error:
                    where = f": selector #{number}{error}"
                    what = f"class {whose}{where}" if whose else where
                    raise CannotAllocate(-1 if whose else claim, what, names=True) from None
        return True

    def _may(self, claim: int, wanted: Wanted, offered: Offered, must: bool) -> bool:
        if not self._has_counters(offered) or next(untolerated(_taints(offered), wanted.tolerations), None):
            return False
        for constraint in self._claims[claim].constraints:
            if not self._meets(constraint, claim, wanted, offered):
                if must:
                    why = "because a claim constraint would not be satisfied"
                    text = f", request {_short(wanted)}: cannot add device {offered.device} {why}"
                    raise CannotAllocate(claim, text, names=True)
                return False
        return True

    def _meets(self, constraint: Constraint, claim: int, wanted: Wanted, offered: Offered) -> bool:
        if not constraint.concerns(wanted):
            return True
        value = offered.attribute(constraint.attribute)
        if value is None:
            return False
        others = [
            pick.offered.attribute(constraint.attribute)
            for pick in self._picks[claim]
            if constraint.concerns(pick.wanted)
        ]
        return value not in others if constraint.distinct else not others or value == others[0]

    def _has_counters(self, offered: Offered) -> bool:
        """What the devices of a pool share (partitions of one device) is not given away twice."""
        if not offered.consumes or self._is_counted(offered):
            return True
        pool = self._pool_of[offered.device]
        spent = self._spent_of(pool)
        return all(
            spent[name, counter] + amount <= pool.counters[name][counter]
            for name, counters in offered.consumes.items()
            for counter, amount in counters.items()
        )

    def _spent_of(self, pool: Reached) -> Counter[tuple[str, str]]:
        spent = self._spent.get(pool.id)
        if spent is None:
            spent = self._spent[pool.id] = Counter()
            for offered in pool.consumers:
                if offered.device in self._taken.devices or offered.device in self._taken.shares:
                    _spend(spent, offered, 1)
        return spent

    # -- doing it -------------------------------------------------------------------------------------------------

    def _do(self, move: _Move) -> None:
        at = move.after
        if move.alternative is not None:
            self._chosen[at.claim].append(move.alternative)
        elif move.pick is not None:
            self._picks[at.claim].append(move.pick)
            self._give(at.claim, move.pick, 1)

    def _undo(self, move: _Move) -> None:
        at = move.after
        if move.alternative is not None:
            self._chosen[at.claim].pop()
        elif move.pick is not None:
            self._picks[at.claim].pop()
            self._give(at.claim, move.pick, -1)

    def _give(self, claim: int, pick: Pick, by: int) -> None:
        offered = pick.offered
        if by > 0 and offered.consumes and not self._is_counted(offered):
            _spend(self._spent_of(self._pool_of[offered.device]), offered, 1)
        users = self._users.setdefault(offered.device, Counter())
        users[claim] += by
        if not users[claim]:
            del users[claim]
        if by < 0 and offered.consumes and not self._is_counted(offered):
            _spend(self._spent_of(self._pool_of[offered.device]), offered, -1)
        for name, amount in (pick.share or {}).items():
            self._shares.setdefault(offered.device, Counter())[name] += by * amount

    def _is_counted(self, offered: Offered) -> bool:
        """A device that several have takes its part of what it shares with other devices once."""
        return offered.is_shared and bool(self._users.get(offered.device) or offered.device in self._taken.shares)


def _spend(spent: Counter[tuple[str, str]], offered: Offered, by: int) -> None:
    for name, counters in offered.consumes.items():
        for counter, amount in counters.items():
            spent[name, counter] += by * amount


def _taints(offered: Offered) -> Sequence[Mapping[str, Any]]:
    return offered.spec.get("taints") or ()


def _short(wanted: Wanted) -> str:
    """As Kubernetes names it in errors: an alternative by its own name alone."""
    return wanted.name.rpartition("/")[2]
