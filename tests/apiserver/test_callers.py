"""Which user an actor is, and what that user may do."""

from __future__ import annotations

from pathlib import Path

import pytest

from actorkube.runtime import Actor
from actors.apiserver.callers import ADMIN, is_component, of_system
from protocols import api as door
from protocols.errors import Answer, Forbidden, decode_error
from protocols.message import Message, Request
from tests.apiserver.world import World, pod, world


@pytest.mark.parametrize(
    ("system", "user", "groups"),
    [
        ("apiserver", "system:apiserver", "system:masters"),
        ("scheduler", "system:kube-scheduler", ""),
        ("scheduler-2", "system:kube-scheduler", ""),
        ("scheduler-joined", "system:kube-scheduler", ""),
        ("scheduler-1-kubelet", "system:node:scheduler-1", "system:nodes"),
        ("controller-manager", "system:kube-controller-manager", ""),
        ("cloud-controller-manager", "system:cloud-controller-manager", ""),
        ("dns", "system:serviceaccount:kube-system:kube-dns", "system:serviceaccounts"),
        ("node-1-kubelet", "system:node:node-1", "system:nodes"),
        ("node-1-proxy", "system:kube-proxy", ""),
        ("my-node-kubelet", "system:node:my-node", "system:nodes"),
        ("stranger", "system:actor:stranger", ""),
        (None, "system:admin", "system:masters"),
    ],
)
def test_a_system_is_a_user(system: str | None, user: str, groups: str) -> None:
    caller = of_system(system, {})

    assert caller.user == user
    assert caller.groups[0] == (groups or "system:authenticated")


@pytest.mark.parametrize("schedulers_join", [False, True])
@pytest.mark.parametrize(
    ("system", "is_one"),
    [
        *((name, True) for name in ("apiserver", "apiserver-2", "scheduler", "controller-manager", "dns", "etcd-0")),
        *((name, True) for name in ("cloud-controller-manager", "etcd-12")),
        *(
            (name, False)
            for name in ("node-1-kubelet", "scheduler-1-proxy", "operator", "apiserver-x", "etcd-exporter")
        ),
    ],
)
def test_a_component_is_nobody_who_has_joined(system: str, is_one: bool, schedulers_join: bool) -> None:
    assert is_component(system, schedulers_join) == is_one


def test_a_further_scheduler_joins_those_that_take_a_lease() -> None:
    assert [is_component("scheduler-here", schedulers_join) for schedulers_join in (False, True)] == [True, False]


class Asker(Actor):
    """Asks what it is asked, on behalf of its system."""

    concurrency = 8

    def receive(self, message: Message) -> object:
        return self._ask(message)

    async def _ask(self, message: Message) -> Message:
        assert isinstance(message, Request)
        answer: Message = await self.ctx.ask(self.ctx.ref("apiserver/api"), message)
        return answer


async def outcome(here: World, system: str, request: Request[Message]) -> object:
    if system not in here.systems:
        await here.actor(system, "asker", Asker())
    try:
        return await here.systems["test"].ask(here.systems["test"].ref(f"{system}/asker"), request)
    except Answer as refusal:
        return str(refusal)


async def test_an_actor_speaks_for_its_system(tmp_path: Path) -> None:
    async with world(tmp_path, users={"guest": ADMIN}) as here:
        guest = await outcome(here, "guest", door.List("secrets"))
        scheduler = await outcome(here, "scheduler", door.List("namespaces"))
        stranger = await outcome(here, "stranger", door.List("namespaces"))

    assert isinstance(guest, door.StoredList)
    assert isinstance(scheduler, door.StoredList) and len(scheduler.items) == 4
    assert stranger == (
        'namespaces is forbidden: User "system:actor:stranger" cannot list resource "namespaces" '
        'in API group "" at the cluster scope'
    )


@pytest.mark.parametrize(
    ("system", "may", "may_not"),
    [
        ("scheduler", door.List("pods"), door.List("secrets")),
        ("scheduler", door.Get("namespaces", "default"), door.Delete("nodes", "n")),
        ("controller-manager", door.List("secrets"), door.Create("clusterroles.rbac.authorization.k8s.io", b"\x80")),
        ("cloud-controller-manager", door.List("nodes"), door.List("pods")),
        ("node-1-kubelet", door.List("services"), door.Delete("services", "kubernetes", "default")),
        ("node-1-proxy", door.List("endpointslices.discovery.k8s.io"), door.List("pods")),
        ("dns", door.List("services"), door.List("configmaps")),
    ],
)
async def test_components_may_do_what_they_are_for(
    tmp_path: Path, system: str, may: Request[Message], may_not: Request[Message]
) -> None:
    async with world(tmp_path) as here:
        done = await outcome(here, system, may)
        refused = await outcome(here, system, may_not)

    assert not isinstance(done, str)
    assert isinstance(refused, str) and "is forbidden: User" in refused


async def test_who_may_not_ask_does_not_learn_what_there_is(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        there = await outcome(here, "stranger", door.Get("namespaces", "default"))
        no_object = await outcome(here, "stranger", door.Get("namespaces", "nowhere"))
        no_resource = await outcome(here, "stranger", door.Get("gadgets.example.com", "nowhere", "default"))
        no_verb = await outcome(here, "stranger", door.Get("bindings", "x", "default"))

    for refused in (there, no_object, no_resource, no_verb):
        assert isinstance(refused, str) and "is forbidden" in refused


async def test_who_may_not_bind_a_pod_may_not_bind_several(tmp_path: Path) -> None:
    bind = door.Bind((door.Binding("default", "web", "n1"),))
    async with world(tmp_path) as here:
        await here.create("pods", pod("web"))
        refused = await outcome(here, "stranger", bind)
        unbound = await here.get("pods", "web")
        done = await outcome(here, "scheduler", bind)
        bound = await here.get("pods", "web")

    assert isinstance(refused, door.BindOutcomes) and isinstance(decode_error(refused.errors[0]), Forbidden)
    assert not unbound["spec"].get("nodeName")
    assert done == door.BindOutcomes((b"",))
    assert bound["spec"]["nodeName"] == "n1"


async def test_a_watch_is_refused_as_a_list_is(tmp_path: Path) -> None:
    class Watching(Actor):
        async def receive(self, message: Message) -> object:
            async with self.ctx.stream(self.ctx.ref("apiserver/api"), door.Watch("secrets")) as events:
                return await anext(events)

    async with world(tmp_path) as here:
        await here.actor("stranger", "asker", Watching())
        with pytest.raises(Forbidden, match='cannot watch resource "secrets"'):
            await here.systems["test"].ask(here.systems["test"].ref("stranger/asker"), door.List("secrets"))
