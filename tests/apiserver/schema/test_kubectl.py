"""Real kubectls, old and new, against the documents of this folder: what they read, and what they send."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest
from aiohttp import web

from actors.apiserver.schema.resources import RESOURCES
from tests.apiserver.schema.schema_server import SchemaServer
from tests.effort import QUICK

pytestmark = pytest.mark.kubectl

DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "web", "image": "nginx"}]},
        },
    },
}


def kubectls():
    """The oldest, a middle and the newest of those that stand beside the one on the PATH."""
    found = shutil.which("kubectl")
    if found is None:
        return []
    beside = sorted(Path(found).resolve().parent.glob("kubectl.1.*"), key=lambda path: int(path.suffix[1:]))
    return [beside[0], beside[len(beside) // 2], beside[-1]][2 * QUICK :] if beside else [Path(found)]


@pytest.fixture(params=kubectls(), ids=lambda path: path.name)
def kubectl(request, tmp_path):
    """Runs a kubectl against a server; answers its output, and its exit code in front when that is not 0."""

    async def run(server, *arguments, stdin=""):
        runner = web.AppRunner(web.Application(), access_log=None)
        runner.app.router.add_route("*", "/{path:.*}", server.handle)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]
        process = await asyncio.create_subprocess_exec(
            request.param, "--server", f"http://127.0.0.1:{port}", *arguments,
            stdin=-1, stdout=-1, stderr=-2, env={"HOME": str(tmp_path)},
        )  # fmt: skip
        output, _ = await process.communicate(stdin.encode())
        await runner.cleanup()
        return f"exit {process.returncode}: {output.decode()}" if process.returncode else output.decode()

    return run


@pytest.mark.parametrize("aggregated", [True, False])
async def test_both_forms_of_discovery_list_every_resource(kubectl, aggregated):
    server = SchemaServer(aggregated=aggregated)

    output = await kubectl(server, "api-resources", "--no-headers")

    assert len(output.splitlines()) == len({resource.group_resource for resource in RESOURCES})
    assert ("GET /apis/apps/v1" in server.asked) == (not aggregated)


async def test_explain_knows_the_fields_of_a_field(kubectl):
    output = await kubectl(SchemaServer(), "explain", "deploy.spec.template.spec.containers.resources.limits")

    assert "KIND:       Deployment" in output
    assert "FIELD: limits <map[string]Quantity>" in output


async def test_apply_validates_and_sends_what_was_given(kubectl):
    server = SchemaServer()

    output = await kubectl(server, "apply", "-f", "-", stdin=json.dumps(DEPLOYMENT))

    assert output == "deployment.apps/web created\n"
    assert server.received[0]["spec"] == DEPLOYMENT["spec"]


async def test_an_unknown_field_is_shown_by_its_path(kubectl):
    wrong = {**DEPLOYMENT, "spec": {**DEPLOYMENT["spec"], "foo": 1}}

    output = await kubectl(SchemaServer(), "create", "-f", "-", stdin=json.dumps(wrong))

    assert output.startswith("exit 1: Error from server (BadRequest): ")
    assert 'strict decoding error: unknown field "spec.foo"' in output


async def test_create_sends_an_object_whether_as_json_or_as_protobuf(kubectl):
    server = SchemaServer()

    output = await kubectl(server, "create", "service", "nodeport", "web", "--tcp=80:http")

    assert output == "service/web created\n"
    assert server.received[0]["spec"] == {
        "ports": [{"name": "80-http", "protocol": "TCP", "port": 80, "targetPort": "http"}],
        "selector": {"app": "web"},
        "type": "NodePort",
    }


async def test_scale_to_zero_arrives_as_zero(kubectl):
    server = SchemaServer()
    path = "/apis/apps/v1/namespaces/default/deployments/web"
    server.objects[path] = DEPLOYMENT
    server.objects[f"{path}/scale"] = {
        "apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "web"}, "spec": {"replicas": 3},
    }  # fmt: skip

    await kubectl(server, "scale", "deployment/web", "--replicas=0", "--current-replicas=3")

    [scale] = server.received
    assert (scale["kind"], scale["spec"].get("replicas", 0)) == ("Scale", 0)


@pytest.mark.slow
async def test_without_openapi_v3_the_gnostic_form_of_v2_is_enough(kubectl):
    server = SchemaServer(v3=False)

    output = await kubectl(server, "create", "--dry-run=server", "-f", "-", stdin=json.dumps(DEPLOYMENT))

    assert output == "deployment.apps/web created (server dry run)\n"
