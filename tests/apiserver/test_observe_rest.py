"""Looking in over REST: metrics, observers, and requests that are part of a client's own trace."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from actorkube.runtime import Actor
from actorkube.runtime.observer import relay_of
from protocols.api import AskHistory, History, Ready
from protocols.errors import BadRequest
from protocols.message import Message, Request, decode, encode
from protocols.observe import AskPeers, AskSpans, Inspect, Peers, Relay, Relayed, Spans, SystemReport
from protocols.trace import TraceContext, traceparent
from tests.apiserver.rest_client import Answer, Rest, rest

CAUSE = TraceContext(b"0123456789abcdef", 7)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Rest]:
    async with rest(tmp_path) as here:
        yield here


async def ask(server: Rest, path: tuple[str, ...], request: Request[Message]) -> Message:
    relay = encode(relay_of(path, request))
    answer = await server.send("POST", "/observe", relay, content_type="application/msgpack")
    assert answer.code == 200, answer.body
    relayed = decode(Relayed.type_id, answer.body)
    assert isinstance(relayed, Relayed)
    return decode(relayed.number, relayed.body)


async def test_metrics_are_served_to_who_monitors(server: Rest) -> None:
    answer = await server.get("/metrics")
    stranger = await server.send("GET", "/metrics", session=server.anonymous)
    robot = await server.by("good", "GET", "/metrics")
    monitor = await server.by("monitor", "GET", "/metrics")

    families = {family.name for family in text_string_to_metric_families(answer.body.decode())}
    assert {"process_cpu_seconds", "actorkube_mailbox_messages", "actorkube_link_frames"} <= families
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert (stranger.code, robot.code, monitor.code) == (403, 403, 200)


class Mute(Actor):
    def receive(self, message: Message) -> object:
        raise BadRequest("tells nothing")


def samples(answer: Answer, name: str) -> dict[str, float]:
    """By the label `system`."""
    families = text_string_to_metric_families(answer.body.decode())
    return {
        sample.labels["system"]: sample.value for family in families for sample in family.samples if sample.name == name
    }


async def test_metrics_are_of_every_system_that_can_be_reached(server: Rest) -> None:
    answer = await server.get("/metrics")

    text = answer.body.decode()
    assert {"apiserver", "etcd-0"} <= set(samples(answer, "actorkube_system_up_seconds"))
    assert set(samples(answer, "actorkube_system_answers").values()) == {1.0}
    assert 'actorkube_mailbox_messages{actor="etcd",system="etcd-0"}' in text
    assert text.count("# TYPE actorkube_mailbox_messages gauge") == 1


class Shop(Actor):
    """It counts what it sells."""

    def exposition(self, page: str) -> Callable[[], bytes] | None:
        return (lambda: b"shop_sold_total 7\n") if not page else None


async def test_metrics_of_one_system_have_what_its_actors_count(server: Rest) -> None:
    await server.world.actor("etcd-0", "shop", Shop())

    alone = await server.get("/metrics?system=etcd-0")
    all_of_them = await server.get("/metrics")

    assert samples(alone, "actorkube_system_up_seconds").keys() == {"etcd-0"}
    assert "shop_sold_total 7" in alone.body.decode()
    assert "shop_sold_total" not in all_of_them.body.decode()


async def test_metrics_of_one_system_are_asked_for_by_its_name(server: Rest) -> None:
    answer = await server.get("/metrics?system=etcd-0")
    nobody = await server.get("/metrics?system=etcd-9")

    assert set(samples(answer, "actorkube_system_up_seconds")) == {"etcd-0"}
    assert nobody.code == 404 and "etcd-0" in nobody.body.decode()


async def test_who_does_not_answer_is_missing_and_named(server: Rest) -> None:
    mute = await server.world.system("mute")
    mute.spawn(Mute, "observer")
    await mute.ask(mute.ref("apiserver/api"), Ready())

    answer = await server.get("/metrics")

    assert samples(answer, "actorkube_system_answers")["mute"] == 0.0
    assert samples(answer, "actorkube_system_answers")["etcd-0"] == 1.0
    assert "mute" not in samples(answer, "actorkube_system_up_seconds")


@pytest.mark.slow
async def test_all_systems_are_reached_through_the_api_server(server: Rest) -> None:
    neighbours = await ask(server, (), AskPeers())
    report = await ask(server, ("etcd-0",), Inspect())

    assert isinstance(neighbours, Peers)
    assert "etcd-0" in neighbours.peers
    assert isinstance(report, SystemReport)
    assert report.system == "etcd-0"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", 400),
        (b"\xc1", 400),
        (encode(Relay((), 1, b"")), 400),
        (encode(Relay(("etcd-0",), 1, b"")), 400),
        (encode(Relay(("etcd-0",) * 9, Inspect.type_id, encode(Inspect()))), 400),
        (b"x" * 100_000, 413),
    ],
)
async def test_nonsense_is_refused(body: bytes, code: int, server: Rest) -> None:
    answer = await server.send("POST", "/observe", body)

    assert answer.code == code


async def test_only_who_may_administer_the_cluster_looks_into_it(server: Rest) -> None:
    relay = encode(relay_of((), Inspect()))

    robot = await server.send("POST", "/observe", relay, session=server.anonymous, Authorization="Bearer good")
    stranger = await server.send("POST", "/observe", relay, session=server.anonymous)

    assert (robot.code, stranger.code) == (403, 403)


async def test_a_request_is_followed_when_its_client_says_so_and_what_it_wrote_has_a_history(server: Rest) -> None:
    answer = await create(server, "one", traceparent=traceparent(CAUSE))
    await create(server, "two")

    spans = await ask(server, (), AskSpans(CAUSE.trace_id.hex()))
    history = await ask(server, (), AskHistory("cm", "one", "default"))
    unknown = await ask(server, (), AskHistory("configmap", "two", "default"))

    assert isinstance(spans, Spans)
    (request,) = [span for span in spans.spans if span.what.startswith("POST")]
    assert request.parent_id == CAUSE.span_id
    assert request.notes["object"] == "configmaps default/one"
    assert request.notes["revision"] == answer.json["metadata"]["resourceVersion"]
    assert isinstance(history, History)
    assert [(origin.trace_id, origin.span_id) for origin in history.origins] == [
        (CAUSE.trace_id.hex(), request.span_id)
    ]
    assert isinstance(unknown, History)
    assert unknown.origins == ()


async def test_nobody_unknown_makes_the_server_follow_him(server: Rest) -> None:
    await server.send("GET", "/api/v1/pods", session=server.anonymous, traceparent=traceparent(CAUSE))

    spans = await ask(server, (), AskSpans())

    assert spans == Spans(())


async def create(server: Rest, name: str, **headers: str) -> Answer:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
    answer = await server.send("POST", "/api/v1/namespaces/default/configmaps", body, **headers)
    assert answer.code == 201
    return answer
