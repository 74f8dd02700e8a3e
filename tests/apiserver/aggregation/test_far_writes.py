"""What actors write by message of resources that another API server serves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from actorkube.runtime import Actor
from protocols.api import Create, List, Patch, Stored, Update
from protocols.errors import AlreadyExists, BadRequest, Conflict, Forbidden
from protocols.message import Request
from protocols.objects import Object, decode_object, encode_object, meta
from tests.apiserver.aggregation.farm import APPLES, GROUP, Farm
from tests.apiserver.aggregation.orchard import SERVICES, api_service, available
from tests.apiserver.rest_client import Rest, rest
from tests.apiserver.tls_server import behind_service, serving
from tests.apiserver.world import namespace


class Grower(Actor):
    """The controller manager, which may do all that is tried here."""


class Orchard:
    """What the tests say: `ask` as the controller manager."""

    def __init__(self, client: Rest, farm: Farm, grower: Grower) -> None:
        self.farm = farm
        self.client = client
        self._grower = grower

    async def ask(self, request: Request[Stored]) -> Object:
        stored = await self._grower.ctx.ask(self.client.world.api, request, timeout_s=10)
        return decode_object(stored.body, stored.revision)

    async def create(self, obj: Object, **options: Any) -> Object:
        return await self.ask(Create(APPLES, encode_object(obj), "team", **options))

    async def update(self, obj: Object, **options: Any) -> Object:
        return await self.ask(Update(APPLES, obj["metadata"]["name"], encode_object(obj), "team", **options))

    def last(self, method: str) -> Any:
        return next(request for request in reversed(self.farm.asked) if request.method == method)


@pytest.fixture
async def orchard(tmp_path: Path) -> AsyncIterator[Orchard]:
    async with rest(tmp_path) as client:
        await client.world.create("namespaces", namespace("team"))
        farm, grower, ca = Farm(), Grower(), client.config.proxy_ca_file
        async with serving(tmp_path / "farm", farm.serve, "orchard.default.svc", callers=ca) as server:
            await behind_service(client, "orchard", server.port)
            await client.create(SERVICES, api_service(server))
            await available(client, f"v1.{GROUP}", "True")
            reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
            manager = [{"kind": "User", "name": "system:kube-controller-manager"}]
            binding = {"metadata": {"name": "all"}, "roleRef": reference, "subjects": manager}
            await client.create("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)
            await client.world.actor("controller-manager", "grower", grower)
            yield Orchard(client, farm, grower)
            farm.hang_up()


async def test_what_an_actor_creates_is_created_there_in_its_name(orchard: Orchard) -> None:
    made = await orchard.create({"metadata": {"name": "a"}, "color": "red"})

    assert (made["apiVersion"], made["kind"], made["color"]) == (f"{GROUP}/v1", "Apple", "red")
    assert meta(made)["namespace"] == "team" and meta(made)["resourceVersion"] == "101"
    asked = orchard.last("POST")
    assert asked.headers["X-Remote-User"] == "system:kube-controller-manager"
    assert asked.query == {"fieldManager": "kube-controller-manager"}
    assert orchard.farm.names() == {"a"}
    with pytest.raises(AlreadyExists):
        await orchard.create({"metadata": {"name": "a"}})


async def test_a_dry_run_is_one_there(orchard: Orchard) -> None:
    await orchard.create({"metadata": {"name": "a"}}, dry_run=True)

    assert orchard.last("POST").query["dryRun"] == "All" and orchard.farm.names() == set()


async def test_a_subresource_is_asked_of_its_object(orchard: Orchard) -> None:
    eaten = await orchard.create({"kind": "Bite", "size": 3}, name="a", subresource="scale")

    assert (eaten["kind"], eaten["of"], eaten["size"]) == ("Bite", "a", 3)
    assert orchard.last("POST").path.endswith("/namespaces/team/apples/a/scale")


async def test_an_update_is_of_the_revision_that_the_actor_has_seen(orchard: Orchard) -> None:
    first = await orchard.create({"metadata": {"name": "a"}})
    seen = int(meta(first)["resourceVersion"])

    second = await orchard.update({"metadata": {"name": "a"}, "color": "green"}, revision=seen)

    assert second["color"] == "green" and int(meta(second)["resourceVersion"]) > seen
    with pytest.raises(Conflict):
        await orchard.update({"metadata": {"name": "a"}}, revision=seen)


async def test_an_update_of_whatever_there_is_finds_out_what_that_is(orchard: Orchard) -> None:
    await orchard.create({"metadata": {"name": "a"}})
    orchard.farm.moving = 3

    updated = await orchard.update({"metadata": {"name": "a"}, "color": "green"})
    orchard.farm.moving = 100

    assert updated["color"] == "green"
    with pytest.raises(Conflict):
        await orchard.update({"metadata": {"name": "a"}})


async def test_a_body_that_is_none_costs_nobody_anything_but_its_own_request(orchard: Orchard) -> None:
    for request in (
        Create(APPLES, b"\xc1", "team"),
        Create(APPLES, b"\x93\x01\x02\x03", "team"),
        Update(APPLES, "a", b"\xc1", "team", 1),
        Patch(APPLES, "a", "merge", b"\xc1", "team"),
    ):
        with pytest.raises(BadRequest):
            await orchard.ask(request)

    assert (await orchard.create({"metadata": {"name": "a"}}))["kind"] == "Apple"


async def test_who_may_not_write_is_not_passed_on(orchard: Orchard) -> None:
    stranger = Grower()
    await orchard.client.world.actor("stranger", "grower", stranger)
    for request in (Create(APPLES, encode_object({"metadata": {"name": "a"}}), "team"), List(APPLES, "team")):
        with pytest.raises(Forbidden):
            await stranger.ctx.ask(orchard.client.world.api, request)

    assert "POST" not in {request.method for request in orchard.farm.asked}


async def test_an_apply_says_who_applies(orchard: Orchard) -> None:
    await orchard.create({"metadata": {"name": "a"}})

    await orchard.ask(Patch(APPLES, "a", "apply", encode_object({"metadata": {"labels": {"b": "c"}}}), "team"))

    asked = orchard.last("PATCH")
    assert asked.content_type == "application/apply-patch+yaml"
    assert asked.query["fieldManager"] == "kube-controller-manager"
    assert orjson.dumps(orchard.farm.objects["apples", "team", "a"]["metadata"]["labels"]) == b'{"b":"c"}'
