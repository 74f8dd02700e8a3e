"""How often a watch is asked for again."""

from __future__ import annotations

import pytest

from actorkube.kube.follow import follow
from actorkube.kube.view import View
from actorkube.runtime import Actor, System
from actorkube.sim import World
from protocols.api import Watch
from protocols.errors import Answer, BadRequest, Expired, NotFound, ServiceUnavailable
from protocols.message import Message


class RefusesWatches(Actor):
    def __init__(self, refusal: Answer) -> None:
        self.refusal = refusal
        self.watched_at: list[float] = []

    def receive(self, message: Message) -> object:
        assert isinstance(message, Watch)
        self.watched_at.append(self.ctx.now)
        raise self.refusal


class Follows(Actor):
    async def on_start(self) -> None:
        self.ctx.background(follow(self.ctx, self.ctx.ref("apiserver/api"), View("podgroups.example.com")), "follow")


@pytest.mark.parametrize(
    ("refusal", "often"),
    [
        pytest.param(BadRequest("there is no resource"), False, id="no such resource"),
        pytest.param(NotFound("there is no resource"), False, id="not served"),
        pytest.param(ServiceUnavailable("not ready"), True, id="not ready"),
        pytest.param(Expired("too old"), True, id="too old"),
    ],
)
def test_what_is_not_served_is_asked_for_seldom_and_what_will_soon_be_often(refusal: Answer, often: bool) -> None:
    async def scenario(world: World) -> list[float]:
        def boot(system: System) -> None:
            system.spawn(lambda: RefusesWatches(refusal), "api")

        server = await world.boot("apiserver", boot)
        await world.boot("controllers", lambda system: system.spawn(Follows, "follows"))
        await world.sleep(300)
        api = server.actor("api")
        assert isinstance(api, RefusesWatches)
        return api.watched_at

    times = World.run_sync(scenario)

    gaps = [after - before for before, after in zip(times[-20:], times[-19:], strict=False)]
    assert all(0.4 < gap < 1.6 for gap in gaps) if often else all(4.9 < gap < 15.1 for gap in gaps)


class FollowsBuiltIn(Actor):
    def __init__(self, view: View) -> None:
        self.view = view

    async def on_start(self) -> None:
        api = self.ctx.ref("apiserver/api")
        self.ctx.background(follow(self.ctx, api, self.view), "follow")


@pytest.mark.parametrize(
    ("refusal", "absent"),
    [
        pytest.param(BadRequest("there is no resource"), True, id="no such resource"),
        pytest.param(ServiceUnavailable("not ready"), False, id="not ready"),
    ],
)
def test_of_a_resource_that_this_version_has_not_there_is_nothing(refusal: Answer, absent: bool) -> None:
    async def scenario(world: World) -> None:
        view = View("podgroups.example.com", may_be_absent=True)
        await world.boot("apiserver", lambda system: system.spawn(lambda: RefusesWatches(refusal), "api"))
        await world.boot("controllers", lambda system: system.spawn(lambda: FollowsBuiltIn(view), "follows"))
        await world.sleep(5)

        assert (view.synced, view.is_absent, len(view)) == (absent, absent, 0)

    World.run_sync(scenario)
