"""Admission of connections: exec, attach, port-forward and proxy are asked about as CONNECT, with their options."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from multidict import MultiDict

from actors.apiserver.connect_options import accepted, options_of
from actors.apiserver.rest.proxy import path_asked
from protocols.errors import BadRequest, InternalError
from protocols.objects import Object
from tests.apiserver.admission import test_mutations as mutations
from tests.apiserver.admission import test_policies as policies
from tests.apiserver.admission.test_webhooks import Webhook, add, allow, deny, patch
from tests.apiserver.rest_client import Rest, rest
from tests.apiserver.test_exec import Kubelet
from tests.apiserver.tls_server import serving
from tests.apiserver.world import pod

DEFAULT = "/api/v1/namespaces/default"
PODS = f"{DEFAULT}/pods"
WEBSOCKET = {"Upgrade": "websocket", "Connection": "Upgrade"}
ADDRESS = {"status": {"podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}]}}


@pytest.fixture
def kubelet() -> Kubelet:
    return Kubelet()


@pytest.fixture
async def api(tmp_path: Path, kubelet: Kubelet) -> AsyncIterator[Rest]:
    async with rest(tmp_path) as client:
        await client.world.actor("n1-kubelet", "kubelet", kubelet)
        await client.create(PODS, pod("web", node="n1", labels={"app": "web"}))
        answer = await client.send("PATCH", f"{PODS}/web/status", ADDRESS, content_type="application/merge-patch+json")
        assert answer.code == 200, answer.body
        yield client


@pytest.fixture
async def hooks(tmp_path: Path, api: Rest) -> AsyncIterator[Webhook]:
    made = Webhook(api)
    async with serving(tmp_path / "webhook", made.serve, "hooks.default.svc") as server:
        made.bundle, made.port = server.bundle, server.port
        yield made


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[int]:
    """The port of a server that answers with the path it was asked for."""

    async def tell(request: web.BaseRequest) -> web.Response:
        return web.Response(text=request.rel_url.raw_path_qs)

    runner = web.ServerRunner(web.Server(tell))
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listener).start()
    yield listener.getsockname()[1]
    await runner.cleanup()


def about(*resources: str) -> list[Object]:
    return [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CONNECT"], "resources": list(resources)}]


async def enact(api: Rest, rule: str | Object, *resources: str, actions: tuple[str, ...] = ("Deny",)) -> None:
    made = policies.policy(rule, matchConstraints={"resourceRules": about(*resources)})
    await policies.enact(api.world, made, policies.binding(*actions))


async def mutate(api: Rest, mutation: Object, *resources: str) -> None:
    made = mutations.policy(mutation, matchConstraints={"resourceRules": about(*resources)})
    await mutations.enact(api.world, made)


async def typed(api: Rest, command: str) -> list[bytes]:
    """What comes of a command that is told to end."""
    url = f"{api.base}{PODS}/web/exec?stdin=true&stdout=true&{command}"
    async with api.admin.ws_connect(url, protocols=["v5.channel.k8s.io"]) as session:
        await session.send_bytes(b"\x00hello")
        await session.send_bytes(b"\xff\x00")
        return [message.data async for message in session]


async def test_a_policy_refuses_commands_by_what_they_are(api: Rest) -> None:
    rule = (
        "object.kind != 'PodExecOptions' || object.command[0] != 'sh' && request.operation == 'CONNECT' "
        "&& request.subResource == 'exec' && request.name == 'web' && request.kind.kind == 'PodExecOptions'"
    )
    await enact(api, {"expression": rule, "message": "no shells"}, "pods/exec")

    refused = await api.get(f"{PODS}/web/exec?stdout=1&command=sh&command=-c", **WEBSOCKET)
    messages = await typed(api, "command=cat&container=main")

    assert refused.code == 422 and refused.json["message"] == (
        "pods \"web\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no shells"
    )
    assert messages[1] == b"\x01hello"


async def test_the_question_comes_before_whether_the_pod_is_there(api: Rest) -> None:
    await enact(api, "false", "pods/attach")

    refused = await api.get(f"{PODS}/nobody/attach?stdout=1", **WEBSOCKET)
    other = await api.get(f"{PODS}/nobody/exec?stdout=1&command=x", **WEBSOCKET)

    assert (refused.code, other.code) == (422, 404)
    assert "failed expression: false" in refused.json["message"]


@pytest.mark.parametrize("resource", ["pods/portforward", "pods/*", "*/*"])
async def test_ports_are_judged(api: Rest, resource: str) -> None:
    await enact(api, "!has(object.ports) || object.ports.all(port, port < 1024)", resource)

    answers = [await api.get(f"{PODS}/web/portforward?{ports}", **WEBSOCKET) for ports in ("ports=80,8080", "ports=x")]

    assert [answer.code for answer in answers] == [422, 400]


async def test_what_is_warned_of_comes_with_the_connection(api: Rest, page: int) -> None:
    rule = {"expression": "false", "message": "it is watched"}
    await enact(api, rule, "pods/exec", "pods/proxy", "nodes/proxy", actions=("Warn",))
    text = "Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': it is watched"

    url = f"{api.base}{PODS}/web/exec?stdout=1&command=missing-not"
    async with api.admin.ws_connect(url, protocols=["v5.channel.k8s.io"]) as session:
        told = session._response.headers.getall("Warning")
    passed = await api.get(f"{PODS}/web:{page}/proxy/")
    kubelet = await api.get("/api/v1/nodes/n1/proxy/healthz")

    assert told == [f'299 - "{text}"']
    assert [answer.headers.getall("Warning") for answer in (passed, kubelet)] == [told, told]


async def test_who_passes_on_is_asked_about_the_path(api: Rest, page: int) -> None:
    await enact(api, "!has(object.path) || !object.path.startsWith('/admin')", "pods/proxy", "services/proxy")
    await api.create(f"{DEFAULT}/services", {"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}})

    answers = [
        await api.get(f"{DEFAULT}/{path}")
        for path in (f"pods/web:{page}/proxy", f"pods/web:{page}/proxy/a%2Fb/?x=1", f"pods/web:{page}/proxy/admin/x")
    ]
    service = await api.send("POST", f"{DEFAULT}/services/web:80/proxy/%61dmin", b"x")

    assert [(answer.code, answer.body[:9]) for answer in answers[:2]] == [(200, b"/"), (200, b"/a%2Fb/?x")]
    assert answers[2].code == service.code == 422
    assert service.json["message"].startswith('services "web:80" is forbidden: ValidatingAdmissionPolicy')


@pytest.mark.slow
async def test_webhooks_are_told_the_options_and_refuse(hooks: Webhook) -> None:
    await hooks.configure(
        "Validating", hooks.hook("no", deny(message="not here"), rules=about("nodes/proxy", "pods/exec"))
    )

    node = await hooks.client.get("/api/v1/nodes/n1/proxy/stats/summary")
    command = await hooks.client.get(
        f"{PODS}/web/exec?stdout=true&tty=1&container=main&command=ls&command=-l", **WEBSOCKET
    )

    assert node.code == command.code == 400
    assert node.json["message"] == 'admission webhook "no.example.com" denied the request: not here'
    (_, first), (_, second) = hooks.asked
    assert first["object"] == {"kind": "NodeProxyOptions", "apiVersion": "v1", "path": "/stats/summary"}
    assert "namespace" not in first and (first["name"], first["subResource"]) == ("n1", "proxy")
    assert second["object"] == {
        "kind": "PodExecOptions",
        "apiVersion": "v1",
        "stdout": True,
        "tty": True,
        "container": "main",
        "command": ["ls", "-l"],
    }
    assert second["kind"] == {"group": "", "version": "v1", "kind": "PodExecOptions"}
    assert second["resource"] == {"group": "", "version": "v1", "resource": "pods"}
    assert (second["operation"], second["namespace"], second["name"]) == ("CONNECT", "default", "web")
    assert second["oldObject"] is None and second["options"] is None and second["dryRun"] is False


async def test_a_webhook_changes_what_is_done(hooks: Webhook, page: int) -> None:
    patched = patch({"op": "replace", "path": "/path", "value": "/else where"})
    await hooks.configure("Mutating", hooks.hook("path", patched, rules=about("pods/proxy")))

    answer = await hooks.client.get(f"{PODS}/web:{page}/proxy/here?x=1")

    assert answer.body == b"/else%20where?x=1"


async def test_what_has_no_meaning_is_no_options(hooks: Webhook, page: int) -> None:
    await hooks.configure("Mutating", hooks.hook("path", patch(add("/path", 7)), rules=about("pods/proxy")))

    answer = await hooks.client.get(f"{PODS}/web:{page}/proxy/")

    assert answer.code == 500 and "admission has made no PodProxyOptions: path is 7" in answer.json["message"]


async def test_a_selector_of_labels_selects_no_options(hooks: Webhook, page: int) -> None:
    everything: Any = {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["x"]}]}
    no = hooks.hook("no", deny(), rules=about("pods/proxy"), objectSelector=everything)
    await hooks.configure("Validating", no)

    assert (await hooks.client.get(f"{PODS}/web:{page}/proxy/")).code == 200


async def test_rules_about_other_operations_are_not_asked(hooks: Webhook, page: int) -> None:
    rules = [{**about("*/*")[0], "operations": ["CREATE", "UPDATE", "DELETE"]}]
    await hooks.configure("Validating", hooks.hook("no", deny(), rules=rules))
    await hooks.configure("Mutating", hooks.hook("yes", allow(), rules=rules))

    assert (await hooks.client.get(f"{PODS}/web:{page}/proxy/")).code == 200
    assert not hooks.asked


async def test_a_mutating_policy_patches_options_and_applies_to_none(api: Rest, page: int) -> None:
    await mutate(api, mutations.patch("[JSONPatch{op: 'add', path: '/path', value: '/b'}]"), "pods/proxy")

    changed = await api.get(f"{PODS}/web:{page}/proxy/a")
    await api.send("DELETE", "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies/p")
    await api.send("DELETE", "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicybindings/p")
    await mutate(api, mutations.apply("Object{path: '/c'}"), "pods/proxy")
    refused = await api.get(f"{PODS}/web:{page}/proxy/a")

    assert changed.body == b"/b"
    assert refused.code == 403 and "no corresponding type for /v1, Kind=PodProxyOptions" in refused.json["message"]


async def test_a_dry_run_of_a_connection_there_is_not(api: Rest) -> None:
    answer = await api.get(f"{PODS}/web/exec?stdout=1&command=x&dryRun=All", **WEBSOCKET)

    assert (answer.code, answer.json["message"]) == (400, "dryRun is not supported")


def test_a_query_is_read_as_kubernetes_reads_it() -> None:
    query = MultiDict(
        [("stdin", "False"), ("stdout", ""), ("tty", "1"), ("tty", "0"), ("command", "a"), ("command", "")]
    )

    assert options_of("PodExecOptions", query) == {
        "kind": "PodExecOptions",
        "apiVersion": "v1",
        "stdout": True,
        "tty": True,
        "command": ["a", ""],
    }
    assert options_of("PodExecOptions", MultiDict())["command"] is None
    assert options_of("PodPortForwardOptions", MultiDict(ports="80,81"))["ports"] == [80, 81]
    with pytest.raises(BadRequest):
        options_of("PodPortForwardOptions", MultiDict(ports="80,"))


def test_a_path_has_a_slash_where_the_url_has_one() -> None:
    paths = [path_asked(f"{PODS}/web/proxy{rest}") for rest in ("", "/", "/a b", "/a//b/")]

    assert paths == ["", "/", "/a b", "/a//b/"]


@pytest.mark.parametrize("wrong", [{"command": "ls"}, {"command": [1]}, {"tty": 1}, {"container": ["a"]}])
def test_options_of_wrong_types_are_none(wrong: Object) -> None:
    with pytest.raises(InternalError):
        accepted("PodExecOptions", wrong)
    with pytest.raises(InternalError):
        accepted("PodPortForwardOptions", {"ports": [True]})
    assert accepted("PodAttachOptions", {"tty": True, "other": 1, "container": None}) == {
        "kind": "PodAttachOptions",
        "apiVersion": "v1",
        "tty": True,
    }
