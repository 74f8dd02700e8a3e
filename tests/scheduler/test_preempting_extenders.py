"""Extenders that have a word about who makes room: a real server agrees, picks others, fails, or answers nonsense."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from actors.scheduler.extenders import Extender
from protocols.objects import Object
from tests.scheduler.test_extenders import Answer, Server, server, text, world
from tests.scheduler.test_scheduler_actor import World
from tests.scheduler.test_volumes import claim, volume
from tests.scheduler.worlds import make_node, make_pod

__all__ = ["server"]
LOW, MIDDLE, HIGH = "uid-3", "uid-4", "uid-5"  # as the store names them, in the order of their creation


@asynccontextmanager
async def full(*extenders: Extender) -> AsyncIterator[World]:
    """Two nodes, full with a pod of priority 1 on n0 and one of priority 2 on n1; n1 has a third of priority 3."""
    async with world(*extenders) as here:
        here.store.pod_grace_s = 30
        here.create("nodes", make_node("n0", cpu="1"), make_node("n1", cpu="2"))
        for name, node, priority in (("low", "n0", 1), ("middle", "n1", 2), ("high", "n1", 3)):
            here.create("pods", make_pod(name, "1", node=node, priority=priority))
        await here.settled()
        here.create("pods", make_pod("p", "1", priority=10))
        yield here


def leaving(here: World) -> set[str]:
    pods = (here.store.find("pods", "default", name) for name in ("low", "middle", "high"))
    return {pod["metadata"]["name"] for pod in pods if pod is not None and "deletionTimestamp" in pod["metadata"]}


def preempting(server: Server, **more: Any) -> Extender:
    return server.extender(filter_verb="", preempt_verb="preempt", **more)


def meta(*victims: tuple[str, str], violations: int = 0) -> Answer:
    """(node, uid of its victim)"""
    nodes = {node: {"Pods": [{"UID": uid}], "NumPDBViolations": violations} for node, uid in victims}
    return lambda _: {"NodeNameToMetaVictims": nodes}


def kept(name: str) -> tuple[Object, Object]:
    """A claim for one pod alone, and the volume that it is bound to, anywhere."""
    alone = {"accessModes": ["ReadWriteOncePod"]}
    bound = claim(f"c-{name}", "1Gi", "", bound=f"v-{name}", **alone)
    return bound, volume(f"v-{name}", "1Gi", "", phase="Bound", **alone)


def with_claim(name: str, cpu: str, **spec: Any) -> Object:
    return make_pod(name, cpu, volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": f"c-{name}"}}], **spec)


async def test_it_is_asked_about_pods_with_claims_who_have_to_go_for_one_with_a_claim(server: Server) -> None:
    server.answers["preempt"] = lambda _: {}
    async with world(preempting(server)) as here:
        for one, other in map(kept, ("low", "p")):
            here.create("persistentvolumeclaims", one)
            here.create("persistentvolumes", other)
        here.create("nodes", make_node("n0", cpu="1"))
        here.create("pods", with_claim("low", "1", node="n0", priority=1))
        await here.settled()

        here.create("pods", with_claim("p", "1", priority=10))
        await here.until(lambda: here.condition("p") is not None)

        assert [list(asked["NodeNameToMetaVictims"]) for asked in server.asked["preempt"]] == [["n0"]]
        assert "no candidate node for preemption" in here.condition("p")["message"]
        assert leaving(here) == set()


async def test_where_extenders_refuse_the_nodes_that_have_room_it_is_made_on_others(server: Server) -> None:
    server.answers["filter"] = lambda body: {
        "NodeNames": [name for name in body["NodeNames"] if name != "n2"],
        "FailedNodes": {"n2": "not that one"} if "n2" in body["NodeNames"] else {},
    }
    async with world(server.extender()) as here:
        here.store.pod_grace_s = 30
        here.create("nodes", make_node("n0", cpu="1"), make_node("n2", cpu="1"))
        here.create("pods", make_pod("low", "1", node="n0", priority=1))
        await here.settled()
        here.create("pods", make_pod("p", "1", priority=10))
        await here.until(lambda: bool(leaving(here)))

        assert leaving(here) == {"low"}
        assert here.pod("p")["status"]["nominatedNodeName"] == "n0"


async def test_nobody_has_to_go_for_a_pod_that_extenders_alone_refuse(server: Server) -> None:
    server.answers["filter"] = lambda body: {"NodeNames": [], "FailedNodes": dict.fromkeys(body["NodeNames"], "no")}
    async with world(server.extender()) as here:
        here.create("nodes", make_node("n0", cpu="2"))
        here.create("pods", make_pod("low", "1", node="n0", priority=1))
        await here.settled()
        here.create("pods", make_pod("p", "1", priority=10))
        await here.until(lambda: here.condition("p") is not None)

        assert here.condition("p")["message"].startswith("0/1 nodes are available: 1 no.")
        assert leaving(here) == set()


async def test_room_is_made_where_the_extender_agrees(server: Server) -> None:
    server.answers["preempt"] = meta(("n1", MIDDLE))
    async with full(preempting(server)) as here:
        await here.until(lambda: bool(leaving(here)))

        [asked] = server.asked["preempt"]
        assert asked["Pod"]["metadata"]["name"] == "p" and asked["NodeNameToVictims"] is None
        assert asked["NodeNameToMetaVictims"] == {
            "n0": {"Pods": [{"UID": LOW}], "NumPDBViolations": 0},
            "n1": {"Pods": [{"UID": MIDDLE}], "NumPDBViolations": 0},
        }
        assert leaving(here) == {"middle"}
        assert here.pod("p")["status"]["nominatedNodeName"] == "n1"


async def test_of_what_it_agrees_to_the_least_harm_is_done(server: Server) -> None:
    server.answers["preempt"] = lambda body: {"nodeNameToMetaVictims": body["NodeNameToMetaVictims"]}
    async with full(preempting(server)) as here:
        await here.until(lambda: bool(leaving(here)))
        assert leaving(here) == {"low"}


async def test_what_it_says_of_budgets_counts(server: Server) -> None:
    def answer(body: Any) -> Any:
        return {"NodeNameToMetaVictims": {**body["NodeNameToMetaVictims"], "n0": violating}}

    violating = {"Pods": [{"UID": LOW}], "NumPDBViolations": 1}
    server.answers["preempt"] = answer
    async with full(preempting(server)) as here:
        await here.until(lambda: bool(leaving(here)))
        assert leaving(here) == {"middle"}


async def test_it_may_name_others(server: Server) -> None:
    server.answers["preempt"] = meta(("n1", HIGH))
    async with full(preempting(server)) as here:
        await here.until(lambda: bool(leaving(here)))
        assert leaving(here) == {"high"}


async def test_one_without_copies_of_its_own_is_sent_whole_pods(server: Server) -> None:
    server.answers["preempt"] = meta(("n0", LOW))
    async with full(preempting(server, node_cache_capable=False)) as here:
        await here.until(lambda: bool(leaving(here)))

        [asked] = server.asked["preempt"]
        [low] = asked["NodeNameToVictims"]["n0"]["Pods"]
        assert asked["NodeNameToMetaVictims"] is None
        assert (low["kind"], low["metadata"]["name"], low["spec"]["containers"][0]["image"]) == ("Pod", "low", "app")


async def test_each_is_shown_what_the_ones_before_have_left(server: Server) -> None:
    server.answers["preempt"] = meta(("n1", MIDDLE))
    server.answers["second"] = lambda body: {"NodeNameToMetaVictims": body["NodeNameToMetaVictims"]}
    second = preempting(server)._replace(preempt_verb="second")
    async with full(preempting(server), second) as here:
        await here.until(lambda: bool(leaving(here)))

        assert list(server.asked["second"][0]["NodeNameToMetaVictims"]) == ["n1"]
        assert leaving(here) == {"middle"}


REFUSALS: list[tuple[str, Answer, str]] = [
    ("nobody", lambda _: {}, "no candidate node for preemption"),
    ("a status", text(b"no", 500), "failed preempt with extender at URL {url}/preempt, code 500"),
    ("a list", lambda _: [], "extender at {url}/preempt answers nonsense"),
    ("no victims", lambda _: {"NodeNameToMetaVictims": {"n0": None}}, 'expected at least one victim pod on node "n0"'),
    ("victims that are none", lambda _: {"NodeNameToMetaVictims": {"n0": {"Pods": [{}]}}}, "answers nonsense"),
    ("a node of its own", meta(("made-up", LOW)), 'nodeinfo not found for node name "made-up"'),
    (
        "a pod of another node",
        meta(("n0", HIGH)),
        "extender: {url} claims to preempt pod (UID: uid-5) on node: n0, but the pod is not found on that node",
    ),
]


@pytest.mark.parametrize(("answer", "why"), [each[1:] for each in REFUSALS], ids=[each[0] for each in REFUSALS])
async def test_without_agreement_nobody_has_to_go(server: Server, answer: Answer, why: str) -> None:
    server.answers["preempt"] = answer
    async with full(preempting(server)) as here:
        await here.until(lambda: here.condition("p") is not None)

        told = here.condition("p")
        assert told["reason"] == "Unschedulable"
        assert told["message"].startswith("0/2 nodes are available: 2 Insufficient cpu.")
        assert f"preemption: {why.format(url=server.url)}" in told["message"] or why in told["message"]
        assert leaving(here) == set()


@pytest.mark.parametrize(
    ("answer", "gone"), [(text(b"no", 500), {"low"}), (meta(("n0", HIGH)), {"low"})], ids=["a status", "a lie"]
)
async def test_one_that_fails_is_left_out_where_it_may_be(server: Server, answer: Answer, gone: set[str]) -> None:
    server.answers["preempt"] = answer
    async with full(preempting(server, ignorable=True)) as here:
        await here.until(lambda: bool(leaving(here)))
        assert leaving(here) == gone


async def test_a_victim_that_goes_meanwhile_is_no_victim(server: Server) -> None:
    server.answers["preempt"] = meta(("n0", LOW))
    server.hold.clear()
    async with full(preempting(server)) as here:
        await here.until(lambda: bool(server.asked))
        here.store.delete("pods", "default", "low", grace=0)
        here.api.deliver()
        server.hold.set()
        await here.until(lambda: here.node_of("p") != "")

        assert (here.node_of("p"), leaving(here)) == ("n0", set())
