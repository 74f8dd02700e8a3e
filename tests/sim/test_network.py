"""What a link promises, under everything that can happen to packets: at most once, in order, a suffix may be lost."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from actorkube.runtime import System
from actorkube.runtime.link import Link
from actorkube.sim import (
    Conditions,
    Constant,
    Crash,
    Exponential,
    Fault,
    LongTail,
    LossyLink,
    Partition,
    SlowLink,
    Uniform,
    World,
    play,
)
from actorkube.sim.conditions import Delay
from actorkube.sim.strategies import schedules
from actorkube.sim.transport import SimLink
from protocols.errors import NotSent, Unknown
from protocols.frame import Kind
from protocols.message import Done, Lane
from tests.sim.messages import Counter, Monitor, SimAdd, SimBeat, SimCount, SimNumbers, SimSlow, counter_ref, monitor_of


class Wire:
    """Counts on two hosts what was sent on each end of each link, what arrived, and which ends were told of its end."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.sent: dict[Link, list[int]] = {}
        self.arrived: dict[Link, list[int]] = {}
        self.lost: list[Link] = []
        self.number = 0

    def boot(self, system: System) -> None:
        def on_frame(link: Link, *frame: object) -> None:
            self.arrived.setdefault(link, []).append(int(str(frame[3])))

        def link_lost(link: Link, *, sent: bool = True) -> None:
            self.lost.append(link)

        system.handlers[:] = [on_frame] * len(system.handlers)
        system.link_lost = link_lost  # type: ignore[method-assign]

    def send(self, src: str, dst: str) -> None:
        if not self.world.is_up(src):
            return
        link = self.world.system(src).transport.link(dst, Lane.CONTROL)
        self.number += 1
        if link is not None and link.send(Kind.ASK, 0, 0, 0, self.number, 0, b"x"):
            self.sent.setdefault(link, []).append(self.number)

    def check(self) -> None:
        for link, arrived in self.arrived.items():
            assert isinstance(link, SimLink)
            assert link.far is not None
            assert arrived == self.sent[link.far][: len(arrived)], "not a prefix of what was sent on this connection"
        assert len(self.lost) == len(set(self.lost)), "an end was told twice"


chances = st.integers(0, 30).map(lambda percent: percent / 100)
bad_conditions = st.builds(
    Conditions,
    delay=st.sampled_from([Constant(0.0005), Uniform(0.0003, 0.5), Exponential(0.0002, 0.1), LongTail(0.05)]),
    lost=st.sampled_from(["breaks", "retransmitted"]),
    bytes_per_s=st.sampled_from([math.inf, 1000.0]),
    stall=chances,
    loss=chances,
    duplication=chances,
    overtaking=chances,
)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(conditions=bad_conditions, faults=schedules(["a", "b"], for_s=15, disks=False), seed=st.integers(0, 99))
def test_each_connection_carries_a_prefix_whatever_happens(
    conditions: Conditions, faults: list[Fault], seed: int
) -> None:
    async def scenario(world: World) -> None:
        wire = Wire(world)
        for name in "ab":
            await world.boot(name, wire.boot)
        world.always("prefix", wire.check)
        playing = world.loop.create_task(play(world, faults))
        for _ in range(100):
            wire.send("a", "b")
            wire.send("b", "a")
            await world.sleep(0.2)
        await playing
        await world.recover()
        await world.sleep(15)  # every broken connection is known to be broken by now
        before = len(wire.arrived)
        for _ in range(5):
            wire.send("a", "b")
            await world.sleep(1)

        wire.check()
        assert before or wire.number
        assert wire.number - 4 in [number for arrived in wire.arrived.values() for number in arrived]

    World.run_sync(scenario, seed, network=conditions)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(faults=schedules(["monitor", "node"], disks=False, messages=["SimBeat"]), seed=st.integers(0, 99))
@example(faults=[Crash(1.0, 1.0, "monitor")], seed=0)
def test_tells_arrive_at_most_once_and_in_order_whatever_happens(faults: list[Fault], seed: int) -> None:
    async def scenario(world: World) -> None:
        everything: list[Monitor] = []

        def boot_monitor(system: System) -> None:
            system.spawn(lambda: everything.append(Monitor()) or everything[-1], "monitor")  # type: ignore[func-returns-value]

        await world.boot("monitor", boot_monitor)
        node = await world.boot("node")
        playing = world.loop.create_task(play(world, faults))
        for number in range(100):
            if world.is_up("node"):
                node = world.system("node")
                node.tell(node.ref("monitor/monitor"), SimBeat("node", number))
            await world.sleep(0.3)
        await playing

        heard = [number for monitor in everything for number in monitor.heard.get("node", [])]
        assert heard == sorted(set(heard))

    World.run_sync(scenario, seed, network=Conditions(loss=0.02, duplication=0.2, overtaking=0.02, stall=0.1))


async def counting(world: World, *, dedup: bool = True) -> System:
    await world.boot("server", lambda system: void(system.spawn(lambda: Counter(dedup=dedup), "counter")))
    return await world.boot("user")


def void(_: object) -> None:
    return


def test_asks_and_streams_cross_a_healthy_network() -> None:
    async def scenario(world: World) -> None:
        user = await counting(world)

        assert await user.ask(counter_ref(user), SimAdd(3)) == SimCount(3)
        assert [item.value async for item in user.stream(counter_ref(user), SimNumbers(50), window=3)] == list(
            range(50)
        )

    World.run_sync(scenario)


def test_a_system_reaches_itself_by_stream_too() -> None:
    async def scenario(world: World) -> None:
        await counting(world)
        server = world.system("server")

        got = [item.value async for item in server.stream(counter_ref(server), SimNumbers(5))]

        assert got == [0, 1, 2, 3, 4]

    World.run_sync(scenario)


def test_a_partition_is_noticed_though_nobody_speaks_and_forgotten_when_it_heals() -> None:
    async def scenario(world: World) -> None:
        user = await counting(world)
        await user.ask(counter_ref(user), SimAdd(1))
        waiting = user.ask(counter_ref(user), SimSlow(3600), timeout_s=3600)
        await world.sleep(1)

        world.partition({"server"}, {"user"})
        with pytest.raises(Unknown, match="ended"):
            await waiting
        assert 10 < world.loop.time() < 20
        await world.sleep(3)
        with pytest.raises(NotSent):
            await user.ask(counter_ref(user), SimAdd(1), timeout_s=10)
        world.heal()
        await world.sleep(2)

        assert await user.ask(counter_ref(user), SimAdd(1)) == SimCount(2)

    World.run_sync(scenario)


def test_a_short_partition_that_nobody_speaks_into_breaks_nothing() -> None:
    async def scenario(world: World) -> None:
        user = await counting(world)
        waiting = user.ask(counter_ref(user), SimSlow(20), timeout_s=60)
        await world.sleep(1)

        world.partition({"server"}, {"user"})
        await world.sleep(5)
        world.heal()

        assert await waiting == Done()

    World.run_sync(scenario)


def test_a_one_way_partition_lets_the_request_through_but_not_the_answer() -> None:
    async def scenario(world: World) -> None:
        user = await counting(world)
        await user.ask(counter_ref(user), SimAdd(1))

        world.partition({"server"}, {"user"}, both_ways=False)
        with pytest.raises(Unknown):
            await user.ask(counter_ref(user), SimAdd(1))

        counter = world.system("server").actor("counter")
        assert isinstance(counter, Counter)
        assert counter.value == 2

    World.run_sync(scenario)


def test_partitions_that_overlap_end_one_by_one() -> None:
    async def scenario(world: World) -> None:
        user = await counting(world)
        faults = [Partition(0, 10, ("server",), ("user",)), Partition(5, 10, ("server",), ("user",))]
        world.loop.create_task(play(world, faults))
        await world.sleep(10.5)

        with pytest.raises(NotSent):
            await user.ask(counter_ref(user), SimAdd(1), timeout_s=5)
        await world.sleep(3)

        assert await user.ask(counter_ref(user), SimAdd(1)) == SimCount(1)

    World.run_sync(scenario)


def test_a_clogged_way_is_slow_and_keeps_order() -> None:
    async def scenario(world: World) -> None:
        user = await counting(world)
        await user.ask(counter_ref(user), SimAdd(0))
        world.clog("user", "server", 2.0)
        began = world.loop.time()
        slow = [user.ask(counter_ref(user), SimAdd(1)) for _ in range(3)]
        world.clog("user", "server", 0.0)
        after = user.ask(counter_ref(user), SimAdd(1))

        assert [await answer for answer in slow] == [SimCount(1), SimCount(2), SimCount(3)]
        assert await after == SimCount(4)
        assert world.loop.time() - began > 2

    World.run_sync(scenario)


def test_a_named_tell_is_lost_alone() -> None:
    async def scenario(world: World) -> None:
        await world.boot("monitor", lambda system: void(system.spawn(Monitor, "monitor")))
        user = await world.boot("user")
        world.drop("SimBeat", src="user", dst="monitor", skip=2, times=2)

        for number in range(6):
            user.tell(user.ref("monitor/monitor"), SimBeat("user", number))
        await world.sleep(1)

        assert monitor_of(world.system("monitor")).heard == {"user": [0, 1, 4, 5]}

    World.run_sync(scenario)


def test_a_named_answer_is_lost_with_its_connection_and_the_asker_does_not_know_whether_it_happened() -> None:
    async def scenario(world: World) -> None:
        user = await counting(world)
        world.drop("SimCount", src="server")

        with pytest.raises(Unknown, match="ended"):
            await user.ask(counter_ref(user), SimAdd(1))

        assert await user.ask(counter_ref(user), SimAdd(1)) == SimCount(2)

    World.run_sync(scenario)


def test_a_named_message_can_be_held_back() -> None:
    async def scenario(world: World) -> None:
        user = await counting(world)
        world.delay("SimAdd", 3.0)

        await user.ask(counter_ref(user), SimAdd(1))

        assert 3 < world.loop.time() < 3.1

    World.run_sync(scenario)


def test_a_host_can_be_crashed_between_an_answer_and_its_sending() -> None:
    async def scenario(world: World) -> None:
        user = await counting(world)
        world.when("SimCount", lambda packet: world.crash(packet.src))

        with pytest.raises(Unknown):
            await user.ask(counter_ref(user), SimAdd(1))
        assert not world.is_up("server")
        await world.restart("server")

        await world.until(lambda: answers(user))

    async def answers(user: System) -> bool:
        try:
            return await user.ask(counter_ref(user), SimAdd(1)) == SimCount(1)
        except NotSent:
            return False

    World.run_sync(scenario)


def test_a_stalled_packet_holds_up_those_behind_it_and_nothing_is_lost() -> None:
    async def scenario(world: World) -> None:
        await world.boot("monitor", lambda system: void(system.spawn(Monitor, "monitor")))
        user = await world.boot("user")
        for number in range(50):
            user.tell(user.ref("monitor/monitor"), SimBeat("user", number))
        await world.sleep(30)

        assert monitor_of(world.system("monitor")).heard == {"user": list(range(50))}

    World.run_sync(scenario, network=Conditions(stall=0.5, delay=Uniform(0.0003, 0.1)))


def test_what_was_sent_before_a_planned_stop_still_arrives() -> None:
    async def scenario(world: World) -> None:
        await world.boot("monitor", lambda system: void(system.spawn(Monitor, "monitor")))
        user = await world.boot("user")
        user.tell(user.ref("monitor/monitor"), SimBeat("user", 0))
        await world.sleep(5)
        for number in range(1, 50):
            user.tell(user.ref("monitor/monitor"), SimBeat("user", number))
        await world.stop("user")
        await world.sleep(5)

        assert monitor_of(world.system("monitor")).heard == {"user": list(range(50))}

    World.run_sync(scenario, network=Conditions(delay=Uniform(0.0003, 0.5)))


def test_a_partition_also_takes_what_is_under_way() -> None:
    async def scenario(world: World) -> None:
        user = await counting(world)
        await user.ask(counter_ref(user), SimAdd(1))
        world.clog("user", "server", 1.0)
        waiting = user.ask(counter_ref(user), SimAdd(1))
        await world.sleep(0.5)
        world.partition({"server"}, {"user"})
        with pytest.raises(Unknown):
            await waiting
        world.heal()
        await world.sleep(0.01)  # what is broken is noticed when all heals

        assert await user.ask(counter_ref(user), SimAdd(1)) == SimCount(2)

    World.run_sync(scenario)


def test_a_newer_incarnation_that_has_connected_is_spoken_to_at_once() -> None:
    async def scenario(world: World) -> None:
        user = await counting(world)
        await world.boot("other", lambda system: void(system.spawn(Counter, "counter")))
        await user.ask(user.ref("other/counter"), SimAdd(1))
        world.hosts["other"].crash(silent=True)
        other = await world.restart("other")
        user.spawn(Counter, "counter")
        await other.ask(other.ref("user/counter"), SimAdd(1))

        assert await user.ask(user.ref("other/counter"), SimAdd(1)) == SimCount(1)

    World.run_sync(scenario, network=Conditions(detect_s=(50, 60)))


def test_a_connection_to_an_earlier_life_is_reset_by_the_next_one() -> None:
    async def scenario(world: World) -> None:
        user = await counting(world)
        await user.ask(counter_ref(user), SimAdd(1))
        world.hosts["server"].crash(silent=True)
        await world.restart("server")

        with pytest.raises(Unknown, match="ended"):
            await user.ask(counter_ref(user), SimAdd(1))
        assert await user.ask(counter_ref(user), SimAdd(1)) == SimCount(1)
        assert world.loop.time() < 1

    World.run_sync(scenario, network=Conditions(detect_s=(50, 60)))


def test_a_host_that_does_not_listen_is_reached_only_after_it_has_connected() -> None:
    async def scenario(world: World) -> None:
        await counting(world)
        await world.boot("shy", lambda system: void(system.spawn(Counter, "counter")), listens=False)
        server, shy = world.system("server"), world.system("shy")

        with pytest.raises(NotSent):
            await server.ask(server.ref("shy/counter"), SimAdd(1))
        await shy.ask(shy.ref("server/counter"), SimAdd(1))

        assert await server.ask(server.ref("shy/counter"), SimAdd(1)) == SimCount(1)

    World.run_sync(scenario)


def test_healing_notices_at_once_what_is_broken() -> None:
    async def scenario(world: World) -> None:
        user = await counting(world)
        world.drop("SimCount")
        waiting = user.ask(counter_ref(user), SimAdd(1))
        await world.sleep(0.1)

        world.heal()
        with pytest.raises(Unknown, match="ended"):
            await waiting

        assert world.loop.time() < 1
        assert await user.ask(counter_ref(user), SimAdd(1)) == SimCount(2)

    World.run_sync(scenario, network=Conditions(detect_s=(50, 60)))


async def monitored(world: World) -> tuple[Monitor, System]:
    await world.boot("monitor", lambda system: void(system.spawn(Monitor, "monitor")))
    user = await world.boot("user")
    user.tell(user.ref("monitor/monitor"), SimBeat("user", 0))
    await world.sleep(1)
    return monitor_of(world.system("monitor")), user


def tell(user: System, *numbers: int) -> None:
    for number in numbers:
        user.tell(user.ref("monitor/monitor"), SimBeat("user", number))


def test_a_lost_packet_is_sent_again_and_those_behind_it_wait() -> None:
    async def scenario(world: World) -> None:
        monitor, user = await monitored(world)
        world.set_link("user", "monitor", Conditions(loss=1.0, lost="retransmitted"))
        tell(user, 1)
        world.set_link("user", "monitor", None)
        tell(user, 2, 3)
        await world.sleep(0.1)
        assert monitor.heard == {"user": [0]}
        await world.sleep(0.2)

        assert monitor.heard == {"user": [0, 1, 2, 3]}

    World.run_sync(scenario)


@pytest.mark.parametrize("seed", range(5))
def test_a_very_lossy_link_loses_nothing_and_keeps_order_while_packets_are_sent_again(seed: int) -> None:
    async def scenario(world: World) -> None:
        monitor, user = await monitored(world)
        LossyLink(0, 0, "user", "monitor", 0.2).begin(world)
        tell(user, *range(1, 100))
        await world.sleep(20)

        assert monitor.heard == {"user": list(range(100))}

    World.run_sync(scenario, seed)


def test_a_packet_that_is_lost_again_and_again_breaks_its_connection() -> None:
    async def scenario(world: World) -> None:
        user = await counting(world)
        await user.ask(counter_ref(user), SimAdd(1))
        world.set_link("user", "server", Conditions(loss=1.0, lost="retransmitted"))
        began = world.loop.now

        with pytest.raises(Unknown, match="ended"):
            await user.ask(counter_ref(user), SimAdd(1), timeout_s=60)

        assert 12.6 < world.loop.now - began < 16

    World.run_sync(scenario)


def test_a_short_partition_delays_what_is_sent_again_and_breaks_nothing() -> None:
    async def scenario(world: World) -> None:
        monitor, user = await monitored(world)
        world.partition({"user"}, {"monitor"})
        tell(user, 1, 2)
        await world.sleep(2)
        world.reunite({"user"}, {"monitor"})
        tell(user, 3)
        await world.sleep(5)

        assert monitor.heard == {"user": [0, 1, 2, 3]}
        assert not any("broken" in line for line in world.trace.lines)

    World.run_sync(scenario, network=Conditions(lost="retransmitted"))


def test_packets_that_overtake_each_other_arrive_in_order_where_lost_ones_are_sent_again() -> None:
    async def scenario(world: World) -> None:
        monitor, user = await monitored(world)
        tell(user, *range(1, 50))
        await world.sleep(5)

        assert monitor.heard == {"user": list(range(50))}

    World.run_sync(scenario, network=Conditions(overtaking=0.5, lost="retransmitted"))


def test_a_slow_link_makes_packets_queue_and_only_in_its_direction() -> None:
    async def scenario(world: World) -> None:
        user = await counting(world)
        await user.ask(counter_ref(user), SimAdd(0))
        began = world.loop.now
        for number in range(10):
            user.tell(user.ref("server/counter"), SimAdd(0, "x" * 974 + str(number)))
        SlowLink(0, 0, "server", "user", 100.0).begin(world)
        await user.ask(counter_ref(user), SimAdd(1))
        fast = world.loop.now - began
        SlowLink(0, 0, "user", "server", 1000.0).begin(world)
        world.set_link("server", "user", None)
        for number in range(10):
            user.tell(user.ref("server/counter"), SimAdd(0, "x" * 974 + str(number)))
        began = world.loop.now
        await user.ask(counter_ref(user), SimAdd(1), timeout_s=60)

        assert fast < 0.5
        assert 9.5 < world.loop.now - began < 11

    World.run_sync(scenario)


def test_a_way_can_be_unlike_the_others_until_all_is_healed() -> None:
    async def scenario(world: World) -> None:
        user = await counting(world)
        await user.ask(counter_ref(user), SimAdd(0))
        world.set_link("user", "server", Conditions(delay=Constant(2.0)))
        began = world.loop.now
        await user.ask(counter_ref(user), SimAdd(1))
        slow = world.loop.now - began
        world.heal()
        began = world.loop.now
        await user.ask(counter_ref(user), SimAdd(1))

        assert 2.0 < slow < 2.01
        assert world.loop.now - began < 0.01

    World.run_sync(scenario)


@pytest.mark.parametrize(
    ("delay", "least", "median", "most"),
    [
        (Constant(0.5), 0.5, 0.5, 0.5),
        (Uniform(0.1, 0.3), 0.1, 0.2, 0.3),
        (Exponential(0.1, 1.0), 0.1, 0.79, math.inf),
        (LongTail(0.1, sigma=1.0, most_s=1.0), 0.0, 0.1, 1.0),
    ],
)
def test_delays_are_distributed_as_they_say(delay: Delay, least: float, median: float, most: float) -> None:
    chance = random.Random(1)

    drawn = sorted(delay.draw(chance) for _ in range(10_000))

    assert least <= drawn[0] <= drawn[-1] <= most
    assert drawn[5000] == pytest.approx(median, rel=0.05)


def test_a_rule_without_a_number_of_times_holds_until_all_is_healed() -> None:
    async def scenario(world: World) -> None:
        monitor, user = await monitored(world)
        seen: list[bool] = []
        world.when("SimBeat", lambda packet: seen.append(world.is_partitioned), times=0)
        tell(user, *range(1, 10))
        world.partition({"elsewhere"}, {"nowhere"})
        tell(user, 10)
        world.heal()
        tell(user, 11)
        await world.sleep(1)

        assert seen == [*[False] * 9, True]
        assert monitor.heard == {"user": list(range(12))}

    World.run_sync(scenario)


def test_a_dead_host_whose_last_word_is_cut_off_is_given_up_all_the_same() -> None:
    async def scenario(world: World) -> None:
        user = await counting(world)
        await user.ask(counter_ref(user), SimAdd(1))
        world.partition({"server"}, {"user"}, both_ways=False)
        world.hosts["server"].crash(silent=False)

        with pytest.raises(Unknown, match="ended"):
            await user.ask(counter_ref(user), SimAdd(1), timeout_s=60)

        assert world.loop.now < 5

    World.run_sync(scenario)


def test_what_a_host_sent_before_it_died_is_not_sent_again() -> None:
    async def scenario(world: World) -> None:
        monitor, user = await monitored(world)
        world.set_link("user", "monitor", Conditions(loss=1.0, lost="retransmitted"))
        tell(user, 1)
        world.hosts["user"].crash(silent=False)
        world.set_link("user", "monitor", None)
        await world.sleep(20)

        assert monitor.heard == {"user": [0]}

    World.run_sync(scenario)
