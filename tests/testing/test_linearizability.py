"""Histories that one order explains are accepted, others are not; as a search through all orders says too."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from actorkube.runtime import Actor, System
from actorkube.sim import World
from actorkube.testing.linearizability import (
    UNKNOWN,
    History,
    NotLinearizable,
    Operation,
    Read,
    Register,
    Swap,
    Undecided,
    Write,
    check,
)
from protocols.errors import AskError, NotSent
from protocols.message import Message, Request
from tests.effort import examples


def op(action: Any, result: Any, began: float, ended: float = math.inf, key: str = "a") -> Operation:
    return Operation(key, action, began, ended, result)


ACCEPTED = {
    "nothing happened": [],
    "one after the other": [op(Write(1), None, 0, 1), op(Read(), 1, 2, 3)],
    "a read beside a write sees the old": [op(Write(1), None, 0, 3), op(Read(), None, 1, 2)],
    "a read beside a write sees the new": [op(Write(1), None, 0, 3), op(Read(), 1, 1, 2)],
    "two reads beside a write, in this order": [op(Write(1), None, 0, 9), op(Read(), None, 1, 2), op(Read(), 1, 3, 4)],
    "an unknown write happened": [op(Write(1), UNKNOWN, 0), op(Read(), 1, 2, 3)],
    "an unknown write never happened": [op(Write(1), UNKNOWN, 0), op(Read(), None, 2, 3)],
    "an unknown write happens late": [op(Write(1), UNKNOWN, 0), op(Read(), None, 2, 3), op(Read(), 1, 4, 5)],
    "a swap that fits": [op(Write(1), None, 0, 1), op(Swap(1, 2), True, 2, 3), op(Read(), 2, 4, 5)],
    "a swap that does not": [op(Swap(1, 2), False, 2, 3), op(Read(), None, 4, 5)],
    "an unknown swap explains": [op(Write(1), None, 0, 1), op(Swap(1, 2), UNKNOWN, 2), op(Read(), 2, 4, 5)],
    "equal times are side by side": [op(Read(), 1, 0, 1), op(Write(1), None, 1, 2)],
    "keys are apart": [op(Write(1), None, 0, 1, "a"), op(Read(), None, 2, 3, "b")],
}
REJECTED = {
    "a value from nowhere": [op(Read(), 1, 0, 1)],
    "a lost write": [op(Write(1), None, 0, 1), op(Read(), None, 2, 3)],
    "back in time": [op(Write(1), None, 0, 9), op(Read(), 1, 1, 2), op(Read(), None, 3, 4)],
    "an unknown write happens and is undone": [op(Write(1), UNKNOWN, 0), op(Read(), 1, 2, 3), op(Read(), None, 4, 5)],
    "an unknown write before it began": [op(Read(), 1, 0, 1), op(Write(1), UNKNOWN, 2)],
    "two swaps of one value": [op(Swap(None, 1), True, 0, 5), op(Swap(None, 2), True, 0, 5)],
    "a swap that should have fitted": [op(Write(1), None, 0, 1), op(Swap(1, 2), False, 2, 3)],
    "readers disagree on the order": [
        *(op(Write(1), None, 0, 10), op(Write(2), None, 0, 10)),
        *(op(Read(), 1, 11, 12), op(Read(), 2, 13, 14)),
    ],
}


@pytest.mark.parametrize("operations", ACCEPTED.values(), ids=ACCEPTED)
def test_what_one_order_explains_is_accepted(operations: list[Operation]) -> None:
    check(operations)


@pytest.mark.parametrize("operations", REJECTED.values(), ids=REJECTED)
def test_what_no_order_explains_is_rejected(operations: list[Operation]) -> None:
    with pytest.raises(NotLinearizable, match="no order explains"):
        check(operations)


def explained(operations: Sequence[Operation]) -> bool:
    """Slow and obvious: some of the unknown ones happened; one of all orders keeps real time and gives the results."""
    known = [o for o in operations if o.result is not UNKNOWN]
    unknown = [o for o in operations if o.result is UNKNOWN]
    subsets = itertools.chain.from_iterable(itertools.combinations(unknown, n) for n in range(len(unknown) + 1))
    return any(fits(order) for subset in subsets for order in itertools.permutations([*known, *subset]))


def fits(order: Sequence[Operation]) -> bool:
    if any(later.ended < sooner.began for sooner, later in itertools.combinations(order, 2)):
        return False
    state: Any = None
    for operation in order:
        state, result = Register().step(state, operation.action)
        if operation.result is not UNKNOWN and operation.result != result:
            return False
    return True


@st.composite
def operations(draw: st.DrawFn) -> Operation:
    values = st.sampled_from([None, 1, 2])
    action = draw(st.one_of(st.builds(Read), st.builds(Write, values), st.builds(Swap, values, values)))
    began, lasted = draw(st.integers(0, 6)), draw(st.integers(0, 4))
    results = {Read: values, Write: st.none(), Swap: st.booleans()}[type(action)]
    result = draw(st.one_of(results, st.just(UNKNOWN)) if draw(st.integers(0, 3)) == 0 else results)
    return op(action, result, began, math.inf if result is UNKNOWN else began + lasted)


@pytest.mark.slow
@settings(max_examples=examples(300), deadline=None)
@given(st.lists(operations(), max_size=6))
@example([op(Write(1), UNKNOWN, 0), op(Write(2), None, 1, 2), op(Read(), 1, 3, 4)])
def test_it_says_what_trying_all_orders_says(history: list[Operation]) -> None:
    if explained(history):
        check(history)
    else:
        with pytest.raises(NotLinearizable):
            check(history)


def test_what_could_not_be_explained_is_told() -> None:
    with pytest.raises(NotLinearizable) as found:
        check([op(Write(1), None, 0, 1), op(Write(2), None, 2, 3), op(Read(), 1, 4, 5)])

    assert "Write(value=2) -> None, from 2 to 3, and now it is 2" in str(found.value)
    assert "Read() -> 1, from 4 to 5" in str(found.value).splitlines()[-1]


def test_many_clients_on_many_keys_are_checked_at_once_and_one_hard_key_is_given_up() -> None:
    easy = [op(Write(n), None, n, n + 1.5, key=f"{n % 50}") for n in range(2000)]
    hard = [op(Write(n), None, 0, 100) for n in range(20)] + [op(Read(), 99, 0, 100)]

    check(easy)
    with pytest.raises(Undecided, match="'a'"):
        check(hard, steps_max=5000)


# -- a store that is wrong --------------------------------------------------------------------------------------------


class PutIt(Request["PutSeen"]):
    value: int


class GetIt(Request["PutSeen"]):
    pass


class PutSeen(Message):
    value: int


class Forgetful(Actor):
    """Keeps one number; a crash of its host forgets it, unless it was synced."""

    concurrency = 10
    syncs = True

    async def on_start(self) -> None:
        names = self.ctx.disk.list()
        self.value = int(self.ctx.disk.read("value") or b"0") if "value" in names else 0

    def receive(self, message: Message) -> object:
        match message:
            case PutIt(value):
                return self.put(value)
        return PutSeen(self.value)

    async def put(self, value: int) -> PutSeen:
        self.value = value
        if self.syncs:
            await self.ctx.disk.replace("value", str(value).encode())
        return PutSeen(value)


class Careless(Forgetful):
    syncs = False


async def clients(world: World, history: History, actor: type[Actor]) -> None:
    """One that writes and one that reads, while the store's host crashes."""
    await world.boot("store", lambda system: system.spawn(actor, "store"))
    user = await world.boot("user")
    for number in range(1, 9):
        await one(user, history, Write(number), PutIt(number))
        world.crash("store")
        await world.restart("store")
        while not await one(user, history, Read(), GetIt()):
            pass


async def one(user: System, history: History, action: Read | Write, request: Request[PutSeen]) -> bool:
    """Whether there was an answer."""
    operation = history.begin("store", action)
    try:
        answer = await user.ask(user.ref("store/store"), request, timeout_s=1)
    except NotSent:
        operation.refused()
    except AskError:
        operation.unknown()
    else:
        operation.returned(answer.value if isinstance(action, Read) else None)
        return True
    await asyncio.sleep(1)  # until the link that broke is dialled anew
    return False


@pytest.mark.parametrize(("actor", "is_right"), [(Forgetful, True), (Careless, False)])
def test_a_store_that_forgets_what_it_acknowledged_is_found_out(actor: type[Actor], is_right: bool) -> None:
    async def scenario(world: World) -> list[Operation]:
        history = History(world.loop.time)
        await clients(world, history, actor)
        return history.operations

    operations = World.run_sync(scenario, seed=1)

    assert len([o for o in operations if o.result is not UNKNOWN]) >= 12
    if is_right:
        check(operations, Register(0))
    else:
        with pytest.raises(NotLinearizable):
            check(operations, Register(0))
