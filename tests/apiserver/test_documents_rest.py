"""Documents about the server itself over HTTP: what clients may keep of them, and health in all its forms."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.apiserver.rest_client import Rest, rest

DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Rest]:
    async with rest(tmp_path) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        *(("/openapi/v2", "application/json"), ("/openapi/v3", "application/json")),
        *(("/openapi/v3/apis/apps/v1", "application/json"), ("/apis", DISCOVERY), ("/api", DISCOVERY)),
    ],
)
async def test_who_has_a_document_is_not_sent_it_again(api: Rest, path: str, accept: str) -> None:
    first = await api.get(path, Accept=accept)
    again = await api.get(path, Accept=accept, If_None_Match=first.headers["ETag"])
    other = await api.get(path, Accept=accept, If_None_Match='"of-something-else"')

    assert (again.code, again.body, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    assert (other.code, other.body) == (200, first.body)
    assert first.headers["Vary"].startswith("Accept")


async def test_a_document_by_its_hash_is_kept_for_a_year_and_by_an_old_one_is_elsewhere(api: Rest) -> None:
    url = (await api.get("/openapi/v3")).json["paths"]["apis/apps/v1"]["serverRelativeURL"]
    plain, _, hash = url.partition("?hash=")

    kept, unnamed = await api.get(url), await api.get(plain)
    async with api.admin.get(f"{api.base}{plain}?hash=OLD", allow_redirects=False) as moved:
        location = moved.headers["Location"]

    assert (kept.code, kept.headers["Cache-Control"]) == (200, "public, immutable") and "Expires" in kept.headers
    assert (unnamed.code, unnamed.headers["Cache-Control"]) == (200, "no-cache, private")
    assert (moved.status, location) == (301, url) and hash == kept.headers["ETag"].strip('"')


async def test_a_check_of_health_may_be_left_out_and_is_said_to_be(api: Rest) -> None:
    verbose = (await api.get("/readyz?verbose&exclude=etcd&exclude=nothing")).body.decode().splitlines()

    assert [line for line in verbose if "poststarthook" not in line] == [
        *("[+]ping ok", "[+]log ok", "[+]etcd excluded: ok", "[+]etcd-readiness ok", "[+]informer-sync ok"),
        "[+]shutdown ok",
        'warn: some health checks cannot be excluded: no matches for "nothing"',
        "readyz check passed",
    ]


async def test_every_path_that_is_listed_is_there(api: Rest) -> None:
    paths = (await api.get("/")).json["paths"]
    missing = [path for path in paths if (await api.get(path)).code != 200 and "metrics.k8s.io" not in path]

    assert missing == [] and {"/version", "/livez/ping", "/metrics", "/openid/v1/jwks"} <= set(paths)


async def test_the_server_tells_since_when_and_with_which_flags_it_runs(api: Rest) -> None:
    status = await api.get("/statusz", Accept="application/json;v=v1beta1;g=config.k8s.io;as=Statusz")
    flags = await api.get("/flagz", Accept="application/json, */*")  # as `kubectl get --raw` asks
    refused = await api.get("/flagz", Accept="application/json")
    paths = (await api.get("/")).json["paths"]

    assert (status.json["metadata"]["name"], status.json["emulationVersion"]) == ("apiserver", "1.36")
    assert status.headers["Content-Type"] == "application/json;g=config.k8s.io;v=v1beta1;as=Statusz"
    assert status.json["paths"] == ["/flagz", "/healthz", "/livez", "/metrics", "/readyz", "/statusz", "/version"]
    assert flags.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert f"\nsecure-port={api.config.address[1]}\n" in flags.body.decode()
    assert (refused.code, refused.json["reason"]) == (406, "NotAcceptable")
    assert {"/flagz", "/statusz"} < set(paths)


async def test_a_version_names_its_platform_as_go_does(api: Rest) -> None:
    assert (await api.get("/version")).json["platform"] in ("linux/amd64", "linux/arm64")


@pytest.mark.parametrize(
    "kind",
    [
        "/api/v1/namespaces/default/services",
        "/api/v1/namespaces/default/endpoints",
        "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
    ],
)
async def test_what_no_cluster_can_be_without_comes_back(api: Rest, kind: str) -> None:
    before = (await api.get(f"{kind}/kubernetes")).json

    async with api.watch(f"{kind}?watch=true&timeoutSeconds=20") as watch:
        await api.send("DELETE", f"{kind}/kubernetes")
        assert await watch.names(3) == [(type, "kubernetes") for type in ("ADDED", "DELETED", "ADDED")]

    after = (await api.get(f"{kind}/kubernetes")).json
    assert {**after, "metadata": {}} == {**before, "metadata": {}}
    assert after["metadata"]["uid"] != before["metadata"]["uid"]


async def test_health_tells_that_the_store_has_gone(api: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads may go on without it; whoever asks how the server is, hears it all the same."""
    monkeypatch.setattr("actors.apiserver.store_health.WITHIN_S", 0.5)
    before = [(await api.get(path)).code for path in ("/healthz", "/livez", "/readyz", "/readyz/etcd")]
    await api.world.stop_system("etcd-0")

    asked = await asyncio.gather(*(api.get(path) for path in ("/healthz", "/livez", "/readyz?verbose", "/livez/ping")))

    assert before == [200] * 4
    assert [answer.code for answer in asked] == [500, 500, 500, 200]
    assert [line for line in asked[2].body.decode().splitlines() if "poststarthook" not in line] == [
        *("[+]ping ok", "[+]log ok", "[-]etcd failed: reason withheld", "[-]etcd-readiness failed: reason withheld"),
        *("[+]informer-sync ok", "[+]shutdown ok", "readyz check failed"),
    ]
    assert (await api.get("/readyz?exclude=etcd&exclude=etcd-readiness")).body == b"ok"

    await api.world.store()
    while (await api.get("/readyz")).body != b"ok":
        pass
