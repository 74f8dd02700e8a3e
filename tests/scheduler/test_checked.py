"""Plugins of somebody else that answer nonsense: named, as if they had raised, and nobody else is harmed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from actors.scheduler.columns import Bools, Floats, Ints, Rows
from actors.scheduler.config import load_profiles
from actors.scheduler.cycle import Decision, SchedulingCycle
from actors.scheduler.demand import PodDemand
from actors.scheduler.framework import (
    Attempt,
    Cycle,
    Filter,
    NodeFilter,
    NormalizeScore,
    Permit,
    PreBind,
    PreEnqueue,
    PreFilter,
    Refusal,
    Reserve,
    Scope,
    Score,
)
from actors.scheduler.plugin_failure import PluginFailed
from tests.scheduler.test_scheduler_actor import World
from tests.scheduler.worlds import cluster, make_node, make_pod

HEAD = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"


class Own(PreEnqueue, PreFilter, Filter, Score, NormalizeScore, Reserve, Permit, PreBind):
    """Answers at one point what it was told to, everything else as it should."""

    name = "Own"
    scope = Scope.OBJECT

    def __init__(self, point: str = "", answer: str = "None") -> None:
        self._point = point
        self._answer = eval(answer, {"np": np, "Refusal": Refusal})

    def _says(self, point: str, otherwise: Any) -> Any:
        return self._answer if self._point == point else otherwise

    def pre_enqueue(self, pod: Any, state: Any) -> Any:
        return self._says("preEnqueue", None)

    def pre_filter(self, cycle: Cycle) -> Any:
        return self._says("preFilter", None)

    def filter(self, cycle: Cycle, rows: Rows) -> Ints | None:
        last = [name == "n1" for name in cycle.state.names]
        return self._says("filter", np.array(last, np.int64)[rows])  # type: ignore[no-any-return]

    def refusal(self, cycle: Cycle, number: int) -> Refusal:
        return self._says("refusal", Refusal(("not this one",)))  # type: ignore[no-any-return]

    def score(self, cycle: Cycle, rows: Rows) -> Floats | None:
        with np.errstate(invalid="ignore"):
            rated = np.where(cycle.state.objects.present, 50.0, np.nan)  # of rows without a node anything may be said
        return self._says("score", rated[rows])  # type: ignore[no-any-return]

    def normalize_score(self, cycle: Cycle, scores: Floats, feasible: Bools) -> Floats | None:
        return self._says("normalizeScore", scores)  # type: ignore[no-any-return]

    def reserve(self, attempt: Attempt) -> Any:
        return self._says("reserve", None)

    def unreserve(self, attempt: Attempt) -> None:
        return None

    def permit(self, attempt: Attempt) -> Any:
        return self._says("permit", None)

    async def pre_bind(self, attempt: Attempt, handle: Any) -> Any:
        return self._says("preBind", None)


class Terse(NodeFilter):
    """A reason that is no text."""

    name = "Terse"

    def refuse(self, pod: Any, node: Any) -> Any:
        return 7


def profile_with(point: str, answer: str) -> Any:
    own = f"""profiles:
- plugins: {{multiPoint: {{enabled: [{{name: "{__name__}:Own"}}]}}}}
  pluginConfig: [{{name: "{__name__}:Own", args: {{point: {point}, answer: "{answer}"}}}}]
"""
    return load_profiles(HEAD + own, "config.yaml")[0]


def test_sensible_answers_decide() -> None:
    state = cluster([make_node("n0"), make_node("n1")])

    decision = SchedulingCycle(state, profile_with("", "None")).decide(PodDemand(make_pod("p")))

    assert decision == Decision("n0")


@pytest.mark.parametrize(
    ("point", "answer", "why"),
    [
        ("preFilter", "False", "Skip, OnlyNodes, Refusal or None is expected, not False"),
        ("preFilter", "Refusal('no')", "a Refusal has a tuple of reasons, not 'no'"),
        ("filter", "np.array([1, 2, 3])", "an array of shape (64,) is expected, not (3,)"),
        ("filter", "np.zeros(64)", "filter returns whole numbers, not float64"),
        ("filter", "np.full(64, -1)", "filter returns numbers from 0 to 1048575"),
        ("refusal", "None", "refusal says nothing of number 1"),
        ("score", "np.full(64, np.nan)", "score returns nan"),
        ("score", "np.zeros(2)", "an array of shape (64,) is expected, not (2,)"),
        ("normalizeScore", "np.full(64, np.inf)", "normalize_score returns inf"),
    ],
)
def test_an_answer_of_no_use_is_the_plugins_and_named(point: str, answer: str, why: str) -> None:
    full = make_pod("full", "4", node="n0")
    state = cluster([make_node("n0", "4"), make_node("n1", "4")], [full] if point == "refusal" else [])

    with pytest.raises(PluginFailed) as caught:
        SchedulingCycle(state, profile_with(point, answer)).decide(PodDemand(make_pod("p", "1")))

    assert str(caught.value).startswith('running plugin "Own": ') and why in str(caught.value)


def test_a_reason_is_a_text() -> None:
    own = f"profiles: [{{plugins: {{filter: {{enabled: [{{name: '{__name__}:Terse'}}]}}}}}}]"
    (profile,) = load_profiles(HEAD + own, "config.yaml")

    with pytest.raises(PluginFailed, match=r'running plugin "Terse": TypeError: a Refusal has a tuple of reasons, not'):
        SchedulingCycle(cluster([make_node("n0")]), profile).decide(PodDemand(make_pod("p")))


@pytest.mark.parametrize("point", ["preEnqueue", "filter", "reserve", "permit", "preBind"])
async def test_the_scheduler_lives_on_and_the_pod_is_told(point: str) -> None:
    world = World()
    await world.start(profile_with(point, {"filter": "np.array([1])", "preBind": "'no'"}.get(point, "True")))
    try:
        scheduler = world.systems[1].actor("scheduler")
        world.create("nodes", make_node("n0"))
        world.create("pods", make_pod("p"))

        await world.until(lambda: world.condition("p") is not None)

        assert 'running plugin "Own": TypeError' in world.condition("p")["message"].replace("Value", "Type")
        assert world.systems[1].actor("scheduler") is scheduler  # it was not started anew
    finally:
        await world.stop()
