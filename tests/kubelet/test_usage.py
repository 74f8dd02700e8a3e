"""From counters to rates: windows, containers that come and go, and the way from the API server to the runtime."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actors.kubelet.usage import WINDOW_MIN_S, UsageMeter
from protocols.cri import ContainerMetadata, ContainerStatsSample, ContainerStatus
from protocols.usage import AskNodeUsage, ContainerUsage, NodeUsage
from tests.kubelet.node_world import KUBELET, NodeWorld, run
from tests.kubelet.talk import pod

BEGAN = 1000.0
SECOND = 1_000_000_000


def look(meter: UsageMeter, at: float, cpu_s: float, memory: int = 7, id: str = "c1") -> NodeUsage:
    status = ContainerStatus(id, "s1", ContainerMetadata("main"), "CONTAINER_RUNNING", BEGAN, BEGAN)
    return meter.measure([(pod(), [status])], [ContainerStatsSample(id, int(cpu_s * SECOND), memory, 1)], at)


def test_the_first_look_measures_from_the_start_and_later_ones_from_the_last() -> None:
    meter = UsageMeter()

    first, second = look(meter, BEGAN + 100, 10), look(meter, BEGAN + 120, 20)

    assert [(usage.pods[0].window_s, usage.pods[0].containers) for usage in (first, second)] == [
        (100, (ContainerUsage("main", SECOND // 10, 7, 10 * SECOND, BEGAN),)),
        (20, (ContainerUsage("main", SECOND // 2, 7, 20 * SECOND, BEGAN),)),
    ]


def test_looks_that_follow_close_on_one_another_do_not_shorten_the_window() -> None:
    meter = UsageMeter()
    look(meter, BEGAN + 100, 10)
    look(meter, BEGAN + 120, 20)

    usage = look(meter, BEGAN + 121, 21)

    assert (usage.pods[0].window_s, usage.pods[0].containers[0].cpu_nano_cores) == (21, SECOND * 11 // 21)


def test_another_instance_begins_anew_and_what_has_ended_is_forgotten() -> None:
    meter = UsageMeter()
    look(meter, BEGAN + 100, 1000)

    usage = look(meter, BEGAN + 200, 10, id="c2")
    over = meter.measure([(pod(), [])], [], BEGAN + 300)

    assert usage.pods[0].containers[0].cpu_nano_cores == SECOND // 20
    assert over.pods == () and meter._looks == {}


@given(st.lists(st.tuples(st.floats(0.001, 60), st.floats(0, 2)), min_size=1, max_size=20))
def test_a_rate_is_never_negative_and_its_window_is_long_or_all_there_was(steps: list[tuple[float, float]]) -> None:
    meter, at, cpu_s = UsageMeter(), BEGAN, 0.0
    for pause_s, cores in steps:
        at, cpu_s = at + pause_s, cpu_s + pause_s * cores

        [measured] = look(meter, at, cpu_s).pods

        assert 0 <= measured.containers[0].cpu_nano_cores <= 2 * SECOND + SECOND // 100
        assert measured.window_s >= min(WINDOW_MIN_S, at - BEGAN) - 1e-6


def test_a_kubelet_says_what_its_pods_use() -> None:
    async def scenario(node: NodeWorld) -> None:
        await node.create()
        await node.ready()
        apiserver = node.world.system("apiserver")

        usage = await apiserver.ask(apiserver.ref(f"{KUBELET}/kubelet"), AskNodeUsage(), timeout_s=10)

        [web] = usage.pods
        [container] = web.containers
        assert (web.name, container) == ("web", ContainerUsage("main", 0, 0, 0, container.started_at))
        assert 0 < container.started_at <= usage.time

    run(scenario)
