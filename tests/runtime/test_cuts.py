"""Links that are cut by a fault: over sockets as a network that parts, in one process at once. Clocks that are set."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from actorkube.runtime import System
from actorkube.runtime.faults import Faults
from actorkube.runtime.local import LocalNetwork
from actorkube.runtime.log import Quiet
from actorkube.runtime.settings import Settings
from protocols.errors import NotSent, Unknown
from tests.runtime.links import LOOPS, LinkCount, LinkNumbered, Pair, Server, refused, run, until

both_loops = pytest.mark.parametrize("loop", LOOPS)
QUICK = Settings(ping_s=0.02, silence_s=0.1)
HOSTS = ("apiserver", "etcd-0", "etcd-1", "node-1-kubelet", "node-1-proxy", "node-10-kubelet")


@both_loops
def test_what_is_said_across_a_cut_arrives_late_and_in_order_when_it_is_healed_in_time(loop: str) -> None:
    async def scenario() -> None:
        async with Pair() as pair:
            there, actor = await pair.serve(None)
            here, server = await pair.client(None)
            await here.ask(server, LinkNumbered(0))

            there.transport.cut({"client"})
            for number in range(1, 100):
                here.tell(server, LinkCount(number))
            answer = here.ask(server, LinkNumbered(100))
            there.tell(there.ref("server/server"), LinkCount(0))  # when it is there, what was sent before could be
            await until(lambda: actor.told)
            await asyncio.sleep(0.05)
            while_cut = list(actor.told)
            there.transport.cut(())
            await answer

            assert while_cut == [0]
            assert actor.told == list(range(100))

    run(loop, scenario())


@both_loops
def test_a_cut_that_lasts_ends_the_link_and_no_other_comes_about_before_it_is_healed(loop: str) -> None:
    async def scenario() -> None:
        async with Pair() as pair:
            there, _ = await pair.serve(None, settings=QUICK)
            here, server = await pair.client(None, settings=QUICK)
            await here.ask(server, LinkNumbered(0))

            there.transport.cut({"client"})
            with pytest.raises(Unknown):
                await here.ask(server, LinkNumbered(1))
            with pytest.raises((NotSent, Unknown)):
                await here.ask(server, LinkNumbered(2))
            await until(lambda: refused(there).get("cut", 0) >= 1)
            there.transport.cut(())

            async def answered() -> bool:
                try:
                    await here.ask(server, LinkNumbered(3))
                except (NotSent, Unknown):
                    return False
                return True

            async with asyncio.timeout(20):
                while not await answered():
                    await asyncio.sleep(0.01)

    run(loop, scenario())


@both_loops
def test_one_direction_is_cut_and_the_other_is_not(loop: str) -> None:
    async def scenario() -> None:
        async with Pair() as pair:
            there, _ = await pair.serve(None)
            here, server = await pair.client(None)
            mine = Server()
            here.spawn(lambda: mine, "mine")
            await here.ask(server, LinkNumbered(0))

            there.transport.cut({"client"})
            there.tell(there.ref("client/mine"), LinkCount(7))
            await until(lambda: mine.told)
            lost = here.ask(server, LinkNumbered(1), timeout_s=0.05)

            with pytest.raises(Unknown):
                await lost
            assert mine.told == [7]

    run(loop, scenario())


async def test_in_one_process_a_cut_ends_links_and_nobody_else_notices() -> None:
    network = LocalNetwork()
    systems = [System(name, network.transport(), seed=1, log=Quiet()) for name in ("a", "b", "c")]
    for system in systems:
        await system.start()
        system.spawn(Server, "server")
    a, b, c = systems
    await a.ask(a.ref("b/server"), LinkNumbered(0))

    network.cut({("a", "b")})
    with pytest.raises(NotSent):
        await a.ask(a.ref("b/server"), LinkNumbered(1))
    with pytest.raises(NotSent):
        await b.ask(b.ref("a/server"), LinkNumbered(1))
    assert (await c.ask(c.ref("a/server"), LinkNumbered(2))).number == 2
    network.cut(())

    assert (await a.ask(a.ref("b/server"), LinkNumbered(3))).number == 3
    for system in systems:
        await system.stop()


async def test_a_clock_that_is_set_back_stands_still_until_it_is_right() -> None:
    system = System("a", LocalNetwork().transport(), seed=1, log=Quiet())
    await system.start()

    system.set_clock(3600.0)
    ahead = system.now
    system.set_clock(-60.0)

    assert ahead - time.time() > 3500
    assert system.now >= ahead
    assert system.now - ahead < 100
    await system.stop()


def cut(change: Callable[[Faults], Faults]) -> set[tuple[str, str]]:
    return set(change(Faults(HOSTS)).cuts)


def test_names_stand_for_hosts_nodes_and_kinds() -> None:
    faults = Faults(HOSTS)

    assert faults.behind("node-1") == ["node-1-kubelet", "node-1-proxy"]
    assert faults.behind("etcd") == ["etcd-0", "etcd-1"]
    assert faults.behind("apiserver") == ["apiserver"]
    with pytest.raises(KeyError, match="there is no host etcd-9; there are apiserver"):
        faults.behind("etcd-9")


def test_a_partition_is_of_two_sides_or_from_everybody_else_and_adds_to_those_before() -> None:
    one_way = cut(lambda faults: faults.partition("etcd-0", "apiserver", both_ways=False))
    alone = cut(lambda faults: faults.partition("etcd", both_ways=False))
    unsaid = cut(lambda faults: faults.partition("etcd", "", both_ways=False))
    two = Faults(HOSTS).partition("etcd-0", "apiserver", both_ways=True).partition("etcd-1", "etcd-0", both_ways=False)

    assert one_way == {("etcd-0", "apiserver")}
    assert alone == unsaid == {(etcd, other) for etcd in HOSTS[1:3] for other in HOSTS if other not in HOSTS[1:3]}
    assert two.unheard_by("etcd-0") == {"apiserver", "etcd-1"}
    assert two.unheard_by("etcd-1") == frozenset()
    assert two.heal() == Faults(HOSTS)


def test_a_clock_is_set_ahead_or_behind() -> None:
    faults = Faults(HOSTS).skew("node-1", "-5m").skew("node-1-proxy", 2.5)

    assert faults.ahead_s == {"node-1-kubelet": -300.0, "node-1-proxy": 2.5}
