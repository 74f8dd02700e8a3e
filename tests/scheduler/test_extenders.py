"""HTTP extenders: a real server in the test says where pods may go, fails, is slow, or answers nonsense."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from actors.apiserver.tls import Authority
from actors.scheduler.actor import Scheduler
from actors.scheduler.config import load_config
from actors.scheduler.extenders import Extender
from protocols.objects import Object
from tests.scheduler.test_scheduler_actor import World
from tests.scheduler.worlds import make_node, make_pod

GPU = "example.com/gpu"
HEAD = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"
NOW = time.time()
Answer = Callable[[Any], Any]


class Server:
    """`answers`: by verb, what becomes of a request's body: JSON, or a web.Response. `asked`: all bodies, by verb."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: dict[str, list[Any]] = {}
        self.hold = asyncio.Event()  # nobody is answered before it is set
        self.hold.set()
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        verb = request.path.removeprefix("/ext/")
        body = await request.json()
        self.asked.setdefault(verb, []).append(body)
        await self.hold.wait()
        answer = self.answers[verb](body)
        if isinstance(answer, Awaitable):
            answer = await answer
        return answer if isinstance(answer, web.Response) else web.json_response(answer)

    def extender(self, **more: Any) -> Extender:
        return Extender(self.url, **{"filter_verb": "filter", "node_cache_capable": True, "timeout_s": 30.0, **more})


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    async with serving(server):
        yield server


@asynccontextmanager
async def serving(server: Server, context: ssl.SSLContext | None = None) -> AsyncIterator[None]:
    app = web.Application()
    app.router.add_post("/ext/{verb}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    scheme = "https" if context is not None else "http"
    server.url = f"{scheme}://127.0.0.1:{runner.addresses[0][1]}/ext"
    yield
    server.hold.set()
    await runner.cleanup()


@asynccontextmanager
async def world(*extenders: Extender) -> AsyncIterator[World]:
    world = World()
    for system in world.systems:
        await system.start()
    world.systems[0].spawn(lambda: world.api, "api")
    world.ref = world.systems[1].spawn(lambda: Scheduler(extenders=extenders), "scheduler")
    try:
        yield world
    finally:
        await world.stop()


def leaving(*names: str, **failed: str) -> Answer:
    """Of the nodes that are asked about these, and why not the others."""
    return lambda body: {"NodeNames": [n for n in body["NodeNames"] if n in names], "FailedNodes": failed}


def all_of_them(body: Any) -> Any:
    return {"nodenames": body["NodeNames"]}


async def test_a_pod_goes_where_its_extender_lets_it(server: Server) -> None:
    server.answers["filter"] = leaving("n1")
    async with world(server.extender()) as here:
        here.create("nodes", *(make_node(f"n{n}") for n in range(3)), make_node("full", cpu="0"))
        here.create("pods", make_pod("p", "1"))
        await here.until(lambda: bool(here.node_of("p")))

        [asked] = server.asked["filter"]
        assert here.node_of("p") == "n1"
        assert sorted(asked["NodeNames"]) == ["n0", "n1", "n2"]  # whom the plugins refuse is not asked about
        assert (asked["Nodes"], asked["Pod"]["kind"]) == (None, "Pod")
        assert asked["Pod"]["metadata"]["name"] == "p" and asked["Pod"]["spec"]["containers"][0]["image"] == "app"


async def test_one_without_copies_of_its_own_is_sent_whole_nodes(server: Server) -> None:
    server.answers["filter"] = lambda body: {"Nodes": {"items": body["Nodes"]["items"][:1]}, "FailedNodes": None}
    async with world(server.extender(node_cache_capable=False)) as here:
        here.create("nodes", make_node("n0", labels={"gen": "7"}), make_node("n1", labels={"gen": "7"}))
        here.create("pods", make_pod("p", "1"))
        await here.until(lambda: bool(here.node_of("p")))

        [asked] = server.asked["filter"]
        items = asked["Nodes"]["items"]
        assert asked["NodeNames"] is None and [node["metadata"]["labels"] for node in items] == [{"gen": "7"}] * 2
        assert here.node_of("p") == items[0]["metadata"]["name"]


@pytest.mark.parametrize(("weights", "expected"), [((1, 1), "n1"), ((3, 1), "n0")])
async def test_extenders_add_to_the_scores(server: Server, weights: tuple[int, int], expected: str) -> None:
    server.answers["one"] = lambda body: [{"Host": "n0", "Score": 4}, {"host": "nobody", "score": 9}]
    server.answers["two"] = lambda body: [{"Host": "n1", "Score": 10}]
    rating = [
        server.extender(filter_verb="", prioritize_verb=verb, weight=weight)
        for verb, weight in zip(("one", "two"), weights, strict=True)
    ]
    async with world(*rating) as here:
        here.create("nodes", make_node("n0"), make_node("n1"))
        here.create("pods", make_pod("p", "1"))
        await here.until(lambda: bool(here.node_of("p")))

        assert here.node_of("p") == expected


async def test_a_pod_that_is_refused_is_told_why_and_tried_again_when_something_happens(server: Server) -> None:
    server.answers["filter"] = leaving(n0="too hot", n1="too hot")
    async with world(server.extender()) as here:
        here.create("nodes", make_node("n0"), make_node("n1"), make_node("small", cpu="0"))
        here.create("pods", make_pod("p", "1"))
        await here.until(lambda: here.condition("p") is not None)
        told = here.condition("p")
        server.answers["filter"] = all_of_them
        here.create("nodes", make_node("n2"))
        await here.until(lambda: bool(here.node_of("p")))

        assert (told["reason"], told["message"]) == (
            "Unschedulable",
            "0/3 nodes are available: 1 Insufficient cpu, 2 too hot. no new claims to deallocate, "
            "preemption: 0/3 nodes are available: 1 Preemption is not helpful for scheduling, "
            "2 No preemption victims found for incoming pod.",
        )


async def test_pods_that_it_has_nothing_to_say_about_are_decided_as_ever(server: Server) -> None:
    async with world(server.extender(managed=frozenset({GPU}))) as here:
        here.create("nodes", make_node("n0"))
        here.create("pods", make_pod("p", "1"))
        await here.until(lambda: bool(here.node_of("p")))

    assert server.asked == {}


def gpu_pod(name: str, cpu: str = "1") -> Object:
    pod = make_pod(name, cpu)
    pod["spec"]["containers"][0]["resources"]["limits"] = {GPU: "0"}
    return pod


async def test_a_slow_one_holds_up_nobody_else(server: Server) -> None:
    server.answers["filter"] = all_of_them
    server.hold.clear()
    async with world(server.extender(managed=frozenset({GPU}))) as here:
        here.create("nodes", make_node("n0", cpu="500", pods="1000"))
        here.create("pods", *(gpu_pod(f"slow-{n}") for n in range(200)))
        await here.until(lambda: len(server.asked.get("filter", ())) >= 32)
        here.create("pods", make_pod("p", "1"))
        await here.until(lambda: bool(here.node_of("p")))
        asked = len(server.asked["filter"])
        server.hold.set()
        await here.until(lambda: all(here.node_of(f"slow-{n}") for n in range(200)))

    assert asked == 32  # the others wait for their turn


async def test_who_takes_the_room_meanwhile_keeps_it(server: Server) -> None:
    server.answers["filter"] = all_of_them
    server.hold.clear()
    async with world(server.extender(managed=frozenset({GPU}))) as here:
        here.create("nodes", make_node("n0", cpu="1"))
        here.create("pods", gpu_pod("slow"))
        await here.until(lambda: bool(server.asked))
        here.create("pods", make_pod("quick", "1"))
        await here.until(lambda: bool(here.node_of("quick")))
        server.hold.set()
        await here.until(lambda: here.condition("slow") is not None)

        assert here.node_of("slow") == ""
        assert here.condition("slow")["message"] == "the nodes that its extenders chose among have been taken meanwhile"


async def test_a_pod_that_goes_while_it_is_asked_about_is_not_bound(server: Server) -> None:
    server.answers["filter"] = all_of_them
    server.hold.clear()
    async with world(server.extender()) as here:
        here.create("nodes", make_node("n0"))
        here.create("pods", make_pod("p", "1"))
        await here.until(lambda: bool(server.asked))
        here.store.delete("pods", "default", "p", grace=0)
        here.api.deliver()
        server.hold.set()
        await here.settled()

        assert here.api.bound == []


def text(body: bytes, status: int = 200) -> Answer:
    return lambda _: web.Response(body=body, status=status)


FAILURES: list[tuple[str, Answer, str]] = [
    ("an error", lambda _: {"Error": "out of paper"}, "out of paper"),
    ("a status", text(b"no", 500), "failed filter with extender at URL {url}/filter, code 500"),
    ("no JSON", text(b"{"), "extender at {url}/filter answers nonsense"),
    ("a list", lambda _: [], "extender at {url}/filter answers nonsense"),
    ("names that are none", lambda _: {"NodeNames": [7]}, "extender at {url}/filter answers nonsense"),
    ("nodes without names", lambda _: {"Nodes": {"items": [{}]}}, "extender at {url}/filter answers nonsense"),
    (
        "reasons that are none",
        lambda _: {"NodeNames": [], "FailedNodes": [1]},
        "extender at {url}/filter answers nonsense",
    ),
    (
        "a node of its own",
        lambda _: {"NodeNames": ["made-up"]},
        'extender "{url}" claims a filtered node "made-up" which is not found in the input node list',
    ),
]


@pytest.mark.parametrize(("answer", "why"), [each[1:] for each in FAILURES], ids=[each[0] for each in FAILURES])
@pytest.mark.parametrize("ignorable", [False, True])
async def test_one_that_fails_is_named_or_left_out(server: Server, answer: Answer, why: str, ignorable: bool) -> None:
    server.answers["filter"] = answer
    async with world(server.extender(ignorable=ignorable)) as here:
        here.create("nodes", make_node("n0"))
        here.create("pods", make_pod("p", "1"))
        await here.until(lambda: bool(here.node_of("p")) or here.condition("p") is not None)

        if ignorable:
            assert here.node_of("p") == "n0"
        else:
            expected = ("SchedulerError", why.format(url=server.url))
            assert (here.condition("p")["reason"], here.condition("p")["message"]) == expected


async def test_one_that_does_not_answer_in_time_is_named(server: Server) -> None:
    server.hold.clear()
    async with world(server.extender(timeout_s=0.05)) as here:
        here.create("nodes", make_node("n0"))
        here.create("pods", make_pod("p", "1"))
        await here.until(lambda: here.condition("p") is not None)

        assert here.condition("p")["message"] == f'Post "{server.url}/filter": context deadline exceeded'


async def test_one_that_is_not_there_is_named(server: Server) -> None:
    nowhere = server.extender()._replace(url_prefix="http://127.0.0.1:1")
    async with world(nowhere) as here:
        here.create("nodes", make_node("n0"))
        here.create("pods", make_pod("p", "1"))
        await here.until(lambda: here.condition("p") is not None)

        assert here.condition("p")["message"].startswith('Post "http://127.0.0.1:1/filter": ')


@pytest.mark.parametrize("answer", [text(b"no", 500), lambda _: {}, lambda _: [{"Host": "n0", "Score": "high"}]])
async def test_one_that_cannot_rate_adds_nothing(server: Server, answer: Answer) -> None:
    server.answers["rate"] = answer
    async with world(server.extender(filter_verb="", prioritize_verb="rate")) as here:
        here.create("nodes", make_node("n0"))
        here.create("pods", make_pod("p", "1"))
        await here.until(lambda: bool(here.node_of("p")))


async def test_an_extender_binds_the_pods_that_are_its_own(server: Server) -> None:
    async with world(server.extender(filter_verb="", bind_verb="bind", managed=frozenset({GPU}))) as here:

        def bind(body: Any) -> Any:
            pod = here.pod(body["PodName"])
            assert (body["PodNamespace"], body["PodUID"]) == ("default", pod["metadata"]["uid"])
            here.store.update("pods", {**pod, "spec": {**pod["spec"], "nodeName": body["Node"]}})
            here.api.deliver()
            return {"Error": ""}

        server.answers["bind"] = bind
        here.create("nodes", make_node("n0"))
        here.create("pods", gpu_pod("theirs"), make_pod("ours", "1"))
        await here.until(lambda: bool(here.node_of("theirs") and here.node_of("ours")))
        await here.until(lambda: bool(here.events("theirs")))

        assert len(here.api.bound) == len(server.asked["bind"]) == 1
        assert here.events("theirs")[-1][0] == "Scheduled"


async def test_a_binding_that_an_extender_refuses_is_told(server: Server) -> None:
    server.answers["bind"] = lambda _: {"Error": "no paper"}
    async with world(server.extender(filter_verb="", bind_verb="bind")) as here:
        here.create("nodes", make_node("n0"))
        here.create("pods", make_pod("p", "1"))
        await here.until(lambda: here.condition("p") is not None)

        assert here.condition("p")["message"] == "binding rejected: no paper"


async def test_a_gang_is_not_decided_past_its_extenders(server: Server) -> None:
    async with world(server.extender()) as here:
        group = {
            "metadata": {"name": "g", "namespace": "default"},
            "spec": {"schedulingPolicy": {"gang": {"minCount": 1}}},
        }
        here.create("podgroups.scheduling.k8s.io", group)
        here.create("nodes", make_node("n0"))
        here.create("pods", make_pod("p", "1", schedulingGroup={"podGroupName": "g"}))
        await here.until(lambda: here.condition("p") is not None and here.condition("p")["reason"] == "SchedulerError")

        assert (here.node_of("p"), server.asked) == ("", {})
        assert "extenders are to be asked about a pod of a gang" in here.condition("p")["message"]


def content_of(file: str | Path) -> bytes:
    return Path(file).read_bytes()


@pytest.mark.parametrize("as_data", [False, True])
async def test_an_extender_that_wants_a_certificate_is_shown_one(server: Server, tmp_path: Path, as_data: bool) -> None:
    """By files, and with what is in them in the configuration itself."""
    authority = Authority(tmp_path, NOW)
    issued, client = authority.component(), authority.admin()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.ca_file)
    context.load_cert_chain(issued.cert_file, issued.key_file)
    context.verify_mode = ssl.CERT_REQUIRED
    server.answers["filter"] = leaving("n0")
    said = {"ca": authority.ca_file, "cert": client.cert_file, "key": client.key_file}
    tls = {f"{name}File": str(file) for name, file in said.items()}
    if as_data:
        tls = {f"{name}Data": base64.b64encode(content_of(file)).decode() for name, file in said.items()}

    async with serving(server, context):
        extender = {"urlPrefix": server.url, "filterVerb": "filter", "nodeCacheCapable": True, "tlsConfig": tls}
        config = load_config(f"{HEAD}extenders: [{json.dumps(extender)}]\n", "config.yaml")
        async with world(*config.extenders) as here:
            here.create("nodes", make_node("n0"), make_node("n1"))
            here.create("pods", make_pod("p", "1"))
            await here.until(lambda: bool(here.node_of("p")))

            assert here.node_of("p") == "n0"


# -- the configuration ------------------------------------------------------------------------------------------------


def test_extenders_are_read_from_the_file() -> None:
    text = """extenders:
  - urlPrefix: https://gpus.example.com/ext/
    filterVerb: filter
    prioritizeVerb: rate
    bindVerb: bind
    preemptVerb: preempt
    weight: 5
    enableHTTPS: true
    tlsConfig: {caFile: /ca.pem, serverName: gpus, certFile: /c.pem, keyFile: /k.pem}
    httpTimeout: 2s
    nodeCacheCapable: true
    ignorable: true
    managedResources: [{name: example.com/gpu, ignoredByScheduler: true}, {name: example.com/fpga}]
  - urlPrefix: http://other
    filterVerb: f
"""

    config = load_config(HEAD + text, "config.yaml")

    first, second = config.extenders
    assert first.url(first.filter_verb) == "https://gpus.example.com/ext/filter"
    assert (first.bind_verb, first.preempt_verb) == ("bind", "preempt")
    assert (first.weight, first.timeout_s, first.node_cache_capable, first.ignorable) == (5, 2.0, True, True)
    assert first.managed == {GPU, "example.com/fpga"}
    assert first.tls == (True, "gpus", "/ca.pem", "/c.pem", "/k.pem")
    assert (second.timeout_s, second.tls, second.managed) == (5.0, None, frozenset())
    [fit] = [plugin for plugin in config.profiles[0].plugins if plugin.name == "NodeResourcesFit"]
    assert fit._ignored == {GPU}  # type: ignore[attr-defined]  # it is a NodeResourcesFit


@pytest.mark.parametrize(
    ("extender", "problem"),
    [
        ("filterVerb: f", "urlPrefix is missing"),
        ("urlPrefix: ftp://x", "'ftp://x' is no URL of http or https"),
        ("urlPrefix: http://x, prioritizeVerb: p", "an extender with prioritizeVerb must have a positive weight"),
        ("urlPrefix: http://x, managedResources: [{name: cpu}]", "'cpu' is an invalid extended resource name"),
        (
            "urlPrefix: http://x, managedResources: [{name: a.io/b}, {name: a.io/b}]",
            "duplicate extender managed resource name 'a.io/b'",
        ),
        ("urlPrefix: http://x, tlsConfig: {certFile: /c}", "a certificate and its key go together"),
        ("urlPrefix: http://x, tlsConfig: {keyData: eA==}", "a certificate and its key go together"),
        ("urlPrefix: http://x, tlsConfig: {caData: '#'}", "PEM in base64 is expected here"),
        (
            "urlPrefix: http://x, bindVerb: b}, {urlPrefix: http://y, bindVerb: b",
            "found multiple extenders implementing bind",
        ),
    ],
)
def test_what_is_wrong_with_an_extender_is_said_with_its_line(extender: str, problem: str) -> None:
    with pytest.raises(ValueError, match=r"config\.yaml:3: ") as raised:
        load_config(f"{HEAD}extenders: [{{{extender}}}]", "config.yaml")

    assert problem in str(raised.value)
