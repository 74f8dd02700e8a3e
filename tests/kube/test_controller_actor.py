"""The shell that runs controllers: what it sees, retries, doubts, and when it rests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from actorkube.kube import Controller, ControllerActor, Views, Watches
from actorkube.kube.controller import Grows, no_keys
from actorkube.kube.writes import (
    Confirm,
    Create,
    Delete,
    Event,
    Inquire,
    Look,
    RequeueAfter,
    Update,
    UpdateStatus,
    Write,
    reference_to,
)
from actorkube.runtime import System
from actorkube.runtime.local import LocalNetwork
from actorkube.runtime.log import Quiet
from protocols import api
from protocols.controller import Activity, AskActivity
from protocols.errors import Forbidden, NotFound, ServiceUnavailable
from protocols.message import Message
from protocols.objects import Object, name_of, uid_of
from tests.kube.memory_api import MemoryApi
from tests.kube.memory_store import MemoryStore


class Bench:
    """A controller, an API server in memory, and the actors between them."""

    def __init__(self, controller: Controller) -> None:
        self.network = LocalNetwork()
        self.store = MemoryStore()
        self.systems = [System(n, self.network.transport(), seed=1, log=Quiet()) for n in ("apiserver", "controllers")]
        self.controller = controller

    async def start(self) -> None:
        for system in self.systems:
            await system.start()
        self.systems[0].spawn(lambda: MemoryApi(self.store), "api")
        self.ref = self.systems[1].spawn(lambda: ControllerActor([self.controller]), "it")

    async def stop(self) -> None:
        for system in reversed(self.systems):
            await system.stop()

    @property
    def api(self) -> MemoryApi:
        actor = self.systems[0].actor("api")
        assert isinstance(actor, MemoryApi)
        return actor

    def change(self, change: Callable[[MemoryStore], object]) -> None:
        change(self.store)
        self.api.deliver()

    async def activity(self) -> Activity:
        return await self.systems[1].ask(self.ref, AskActivity())

    async def settle(self) -> Activity:
        """Until nothing is left to do, as the actor itself says, and the watches have nothing left to say."""
        for _ in range(2000):
            await asyncio.sleep(0.001)
            activity = await self.activity()
            if activity.settled:
                return activity
        raise AssertionError(f"does not settle: {activity}")


Reconcile = Callable[[str, Views, float], Sequence[Write]]


@pytest.fixture
async def bench() -> AsyncIterator[Callable[..., Any]]:
    benches: list[Bench] = []

    async def start(reconcile: Reconcile, *watches: Watches) -> Bench:
        bench = Bench(
            Controller("copier", watches or (Watches("configmaps"), Watches("copies", copied_key)), reconcile)
        )
        benches.append(bench)
        await bench.start()
        return bench

    yield start
    for bench in benches:
        await bench.stop()


def copied_key(obj: Object, views: Views) -> list[str]:
    return [f"default/{name_of(obj).removesuffix('-copy')}"]


def copy_each(key: str, views: Views, now: float) -> list[Write]:
    """The example controller: every config map has a copy with the same data."""
    original, copy = views["configmaps"].get(key), views["copies"].get(f"{key}-copy")
    if original is None:
        return [Delete("copies", "default", name_of(copy), uid_of(copy))] if copy else []
    if copy is None:
        happy = Event(reference_to(original, "v1", "ConfigMap"), "Normal", "Copied", "Copied it")
        sad = Event(reference_to(original, "v1", "ConfigMap"), "Warning", "FailedCopy", "Cannot copy: ")
        return [Create("copies", config(f"{name_of(original)}-copy", original["data"]), happy, sad)]
    if copy["data"] != original["data"]:
        return [Update("copies", {**copy, "data": original["data"]})]
    return []


def config(name: str, data: dict[str, str] | None = None) -> Object:
    return {"apiVersion": "v1", "metadata": {"name": name, "namespace": "default"}, "data": data or {"a": "1"}}


def data_of(bench: Bench, name: str) -> Any:
    obj = bench.store.find("copies", "default", name)
    return obj and obj["data"]


async def test_brings_the_world_to_what_the_spec_asks_for_and_rests(bench: Any) -> None:
    it = await bench(copy_each)
    it.change(lambda store: [store.create("configmaps", config(f"c{i}")) for i in range(50)])

    activity = await it.settle()

    assert len(it.store.list("copies")) == 50
    assert activity.writes == 50
    await asyncio.sleep(0.01)
    assert (await it.settle()).writes == 50


async def test_follows_changes_and_deletions(bench: Any) -> None:
    it = await bench(copy_each)
    it.change(lambda store: [store.create("configmaps", config("a")), store.create("configmaps", config("b"))])
    await it.settle()

    it.change(lambda store: store.delete("configmaps", "default", "a"))
    it.change(lambda store: store.patch("configmaps", "default", "b", {"data": {"a": "2"}}))
    await it.settle()

    assert data_of(it, "a-copy") is None
    assert data_of(it, "b-copy") == {"a": "2"}


async def test_sees_its_own_writes_while_the_watch_is_silent(bench: Any) -> None:
    it = await bench(copy_each)
    await it.settle()
    it.store.create("configmaps", config("a"))
    it.api.deliver()
    it.api.muted = True

    await it.settle()

    creates = [m for m in it.api.asked if isinstance(m, api.Create) and m.resource == "copies"]
    assert len(creates) == 1


async def test_looks_before_deciding_more_when_an_answer_was_lost(bench: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("actorkube.kube.client.Client.__init__.__kwdefaults__", {"timeout_s": 0.05})
    it = await bench(copy_each)
    await it.settle()
    lost: list[Message] = []
    it.api.lose = lambda request: (
        isinstance(request, api.Create) and request.resource == "copies" and not lost and not lost.append(request)
    )
    it.api.muted = True
    it.store.create("configmaps", config("a"))
    it.api.muted = False
    it.api.deliver()
    it.api.muted = True

    await it.settle()

    about_copies = [type(m) for m in it.api.asked if getattr(m, "resource", "") == "copies"]
    assert about_copies == [api.Create, api.Get]


async def test_looks_at_what_already_exists_and_goes_on_from_there(bench: Any) -> None:
    it = await bench(copy_each)
    await it.settle()
    it.api.muted = True
    it.store.create("copies", config("a-copy", {"a": "of somebody else"}))
    it.store.create("configmaps", config("a"))
    it.api.watches = {o: (w, p) for o, (w, p) in it.api.watches.items() if w.resource != "copies"}
    it.api.muted = False
    it.api.deliver()

    await it.settle()

    assert data_of(it, "a-copy") == {"a": "1"}


async def test_a_conflict_is_resolved_by_reading_again(bench: Any) -> None:
    it = await bench(copy_each)
    it.change(lambda store: store.create("configmaps", config("a")))
    await it.settle()
    it.api.watches = {o: (w, p) for o, (w, p) in it.api.watches.items() if w.resource != "copies"}
    it.store.patch("copies", "default", "a-copy", {"metadata": {"labels": {"touched": "yes"}}})
    it.change(lambda store: store.patch("configmaps", "default", "a", {"data": {"a": "2"}}))

    await it.settle()

    assert data_of(it, "a-copy") == {"a": "2"}
    assert it.store.read("copies", "default", "a-copy")["metadata"]["labels"] == {"touched": "yes"}


async def test_a_refused_write_is_told_and_tried_again_later(bench: Any) -> None:
    it = await bench(copy_each)
    await it.settle()
    refusals = iter(range(3))

    def refuse(request: Message) -> None:
        if isinstance(request, api.Create) and request.resource == "copies" and next(refusals, None) is not None:
            raise Forbidden("exceeded quota")

    it.api.fail = refuse
    it.change(lambda store: store.create("configmaps", config("a")))
    await it.settle()
    await asyncio.sleep(0.01)

    events = {e["reason"]: (e["type"], e["message"], e["count"]) for e in it.store.list("events")}
    assert events == {
        "FailedCopy": ("Warning", "Cannot copy: exceeded quota", 3),
        "Copied": ("Normal", "Copied it", 1),
    }
    assert data_of(it, "a-copy") == {"a": "1"}


async def test_the_next_pass_is_told_why_the_last_one_failed(bench: Any) -> None:
    seen: list[str | None] = []

    def reconcile(key: str, views: Views, now: float) -> list[Write]:
        seen.append(views.failure and str(views.failure.error))
        return [Create("copies", config("copy"))] if len(seen) < 3 else []

    it = await bench(reconcile, Watches("configmaps"))
    it.store.refusals["copies"] = "no more copies"
    it.change(lambda store: store.create("configmaps", config("a")))
    await it.settle()

    assert seen == [None, "no more copies", "no more copies"]


async def test_the_next_pass_has_the_answer_to_an_inquiry_and_no_other_pass_has(bench: Any) -> None:
    seen: list[Any] = []

    def reconcile(key: str, views: Views, now: float) -> list[Write]:
        seen.append(views.answer)
        if len(seen) == 1:
            return [Inquire(api.List("copies", "default")), Create("copies", config("copy"))]
        return [Inquire(api.Get("copies", "nobody", "default"))] if len(seen) == 2 else []

    it = await bench(reconcile, Watches("configmaps"))
    it.change(lambda store: store.create("configmaps", config("a")))
    await it.settle()
    it.change(lambda store: store.patch("configmaps", "default", "a", {"data": {"b": "2"}}))
    await it.settle()

    first, listed, refused, last = seen
    assert (first, last, len(listed.items), type(refused)) == (None, None, 1, NotFound)  # it asked after it had written


async def test_a_server_that_is_not_available_is_tried_again(bench: Any) -> None:
    it = await bench(copy_each)
    await it.settle()
    refusals = iter(range(2))

    def overload(request: Message) -> None:
        if isinstance(request, api.Create) and request.resource == "copies" and next(refusals, None) is not None:
            raise ServiceUnavailable("not now")

    it.api.fail = overload
    it.change(lambda store: store.create("configmaps", config("a")))

    await it.settle()

    assert data_of(it, "a-copy") == {"a": "1"}


async def test_a_cut_watch_is_resumed_where_it_ended(bench: Any) -> None:
    it = await bench(copy_each)
    it.change(lambda store: store.create("configmaps", config("a")))
    await it.settle()

    it.api.cut()
    it.change(lambda store: store.create("configmaps", config("b")))
    for _ in range(200):
        await asyncio.sleep(0.002)
        if data_of(it, "b-copy"):
            break

    assert data_of(it, "b-copy") == {"a": "1"}


async def test_an_expired_watch_lists_again_and_finds_what_vanished_meanwhile(bench: Any) -> None:
    it = await bench(copy_each)
    it.change(lambda store: [store.create("configmaps", config("a")), store.create("configmaps", config("b"))])
    await it.settle()

    it.api.muted = True
    it.change(lambda store: store.delete("configmaps", "default", "a"))
    it.store.log.clear()
    it.api.expire_before = it.store.revision + 1
    it.api.cut()
    it.api.muted = False
    for _ in range(200):
        await asyncio.sleep(0.002)
        if not data_of(it, "a-copy"):
            break

    assert data_of(it, "a-copy") is None
    assert data_of(it, "b-copy") == {"a": "1"}


async def test_a_timer_brings_a_key_back(bench: Any) -> None:
    passes: list[float] = []
    again = asyncio.Event()

    def reconcile(key: str, views: Views, now: float) -> list[Write]:
        passes.append(now)
        if len(passes) == 2:
            again.set()
        return [RequeueAfter(0.03)] if len(passes) < 2 else []

    it = await bench(reconcile, Watches("configmaps"))
    it.change(lambda store: store.create("configmaps", config("a")))
    async with asyncio.timeout(30):
        await again.wait()

    assert passes[1] - passes[0] >= 0.03


async def test_a_timer_does_not_keep_the_controller_from_resting(bench: Any) -> None:
    passes: list[float] = []

    def reconcile(key: str, views: Views, now: float) -> list[Write]:
        passes.append(now)
        return [RequeueAfter(3600)]

    it = await bench(reconcile, Watches("configmaps"))
    it.change(lambda store: store.create("configmaps", config("a")))
    await it.settle()

    assert len(passes) == 1


async def test_no_pass_before_every_view_is_complete(bench: Any) -> None:
    seen: list[int] = []

    def reconcile(key: str, views: Views, now: float) -> list[Write]:
        seen.append(len(views["copies"]))
        return []

    it = Bench(Controller("copier", (Watches("configmaps"), Watches("copies")), reconcile))
    for i in range(20):
        it.store.create("configmaps", config(f"c{i}"))
        it.store.create("copies", config(f"c{i}-copy"))
    await it.start()
    it.api.held["copies"] = None
    await asyncio.sleep(0.01)
    assert not (await it.activity()).settled
    it.api.held.clear()
    it.api.cut()
    await it.settle()
    await it.stop()

    assert seen and set(seen) == {20}


async def test_many_creates_go_out_in_growing_batches_and_stop_at_a_refusal(bench: Any) -> None:
    def reconcile(key: str, views: Views, now: float) -> list[Write]:
        return [Create("copies", config(f"copy-{i}")) for i in range(40)] if len(views["copies"]) < 7 else []

    it = await bench(reconcile, Watches("configmaps"), Watches("copies", no_keys))
    await it.settle()

    def refuse(request: Message) -> None:
        if isinstance(request, api.Create) and request.resource == "copies" and len(it.store.list("copies")) >= 7:
            raise Forbidden("exceeded quota")

    it.api.fail = refuse
    it.change(lambda store: store.create("configmaps", config("a")))
    await it.settle()

    creates = [m for m in it.api.asked if isinstance(m, api.Create) and m.resource == "copies"]
    assert len(creates) == 1 + 2 + 4 + 8


async def test_a_look_shows_what_the_view_could_not_know(bench: Any) -> None:
    def reconcile(key: str, views: Views, now: float) -> list[Write]:
        if views["copies"].is_gone("uid-of-nobody"):
            return [] if "default/saw-it" in views["configmaps"] else [Create("configmaps", config("saw-it"))]
        return [Look("copies", "default", "a", "uid-of-nobody")]

    it = await bench(reconcile, Watches("configmaps"), Watches("copies"))
    it.change(lambda store: store.create("configmaps", config("a")))
    await it.settle()

    assert it.store.find("configmaps", "default", "saw-it")


async def test_an_ending_namespace_is_no_reason_to_try_again(bench: Any) -> None:
    it = await bench(copy_each)
    it.change(lambda store: store.create("namespaces", {"metadata": {"name": "default"}}))
    it.change(lambda store: store.create("configmaps", config("a")))
    await it.settle()
    it.change(lambda store: store.delete("namespaces", "", "default"))
    it.change(lambda store: store.delete("copies", "default", "a-copy"))

    activity = await it.settle()

    assert activity.retries == 0
    assert data_of(it, "a-copy") is None


async def test_status_updates_touch_only_the_status(bench: Any) -> None:
    def reconcile(key: str, views: Views, now: float) -> list[Write]:
        obj = views["configmaps"].get(key)
        if obj is None or obj.get("status"):
            return []
        return [UpdateStatus("configmaps", {**obj, "status": {"seen": True}, "data": {"a": "meddled"}})]

    it = await bench(reconcile, Watches("configmaps"))
    it.change(lambda store: store.create("configmaps", config("a")))
    await it.settle()

    stored = it.store.read("configmaps", "default", "a")
    assert (stored["status"], stored["data"]) == ({"seen": True}, {"a": "1"})


async def test_what_is_watched_later_is_seen_whole_before_the_next_pass() -> None:
    passes: list[bool] = []

    def note(key: str, views: Views, now: float) -> list[Write]:
        passes.append(all(view.synced for view in views.values()))
        return []

    def grown(views: Views) -> list[Watches]:
        return [Watches("widgets")] if len(views["configmaps"]) else []

    it = Bench(Controller("grower", (Watches("configmaps"),), note, grows=Grows(("configmaps",), grown)))
    await it.start()
    try:
        await it.settle()
        it.api.held["widgets"] = None
        it.change(lambda store: store.create("configmaps", config("a")))
        while not it.api.waiting:
            await asyncio.sleep(0)
        passes.clear()  # of the turn in which it began to be watched
        it.change(lambda store: store.create("configmaps", config("b")))
        for _ in range(50):
            await asyncio.sleep(0)

        assert passes == []
        it.api.held.clear()
        it.api.cut()
        await it.settle()
        assert passes and all(passes)
    finally:
        await it.stop()


async def test_what_another_server_never_tells_holds_nobody_up() -> None:
    passes: list[str] = []

    def note(key: str, views: Views, now: float) -> list[Write]:
        passes.append(key)
        return []

    def grown(views: Views) -> list[Watches]:
        return [Watches("widgets", awaited=False)]

    it = Bench(Controller("grower", (Watches("configmaps"),), note, grows=Grows(("configmaps",), grown)))
    await it.start()
    try:
        await it.settle()
        it.api.held["widgets"] = None
        it.change(lambda store: store.create("configmaps", config("a")))
        while not it.api.waiting:
            await asyncio.sleep(0)
        it.change(lambda store: store.create("configmaps", config("b")))
        await it.settle()
    finally:
        await it.stop()

    assert passes == ["default/a", "default/b"]


async def test_a_look_at_what_is_watched_no_more_ends() -> None:
    def confirm(key: str, views: Views, now: float) -> list[Write]:
        return [Confirm("widgets", "default", "it", gone=True)] if "widgets" in views else []

    def grown(views: Views) -> list[Watches]:
        return [Watches("widgets")] if len(views["configmaps"]) else []

    def fail(request: Message) -> None:
        if isinstance(request, api.Get):
            raise ServiceUnavailable("its server is away")

    it = Bench(Controller("grower", (Watches("configmaps"),), confirm, grows=Grows(("configmaps",), grown)))
    await it.start()
    try:
        await it.settle()
        it.api.fail = fail
        it.change(lambda store: store.create("configmaps", config("a")))
        while not any(isinstance(request, api.Get) for request in it.api.asked):
            await asyncio.sleep(0)
        it.change(lambda store: store.delete("configmaps", "default", "a"))

        assert (await it.settle()).working == 0
    finally:
        await it.stop()
