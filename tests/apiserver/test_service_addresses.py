"""Cluster IPs as objects: the range of them, and an IPAddress for each that a Service holds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.apiserver.rest_client import Rest, rest

NETWORKING = "/apis/networking.k8s.io/v1"
ADDRESSES = f"{NETWORKING}/ipaddresses"
SERVICES = "/api/v1/namespaces/default/services"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Rest]:
    async with rest(tmp_path) as client:
        yield client


async def held(api: Rest) -> dict[str, str]:
    """Which Service has which address."""
    items = (await api.get(ADDRESSES)).json["items"]
    return {each["spec"]["parentRef"]["name"]: each["metadata"]["name"] for each in items}


def service(name: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"ports": [{"port": 80}], **spec}}


async def test_a_fresh_server_says_where_addresses_come_from_and_since_when_tokens_are_tracked(api: Rest) -> None:
    network = (await api.get(f"{NETWORKING}/servicecidrs/kubernetes")).json
    tracked = "kube-apiserver-legacy-service-account-token-tracking"
    since = (await api.get(f"/api/v1/namespaces/kube-system/configmaps/{tracked}")).json["data"]["since"]
    first = (await api.get(f"{SERVICES}/kubernetes")).json["spec"]["clusterIP"]

    [condition] = network["status"]["conditions"]
    assert network["spec"]["cidrs"][0].startswith(first.rpartition(".")[0])
    assert (condition["type"], condition["status"]) == ("Ready", "True")
    assert condition["message"] == "Kubernetes default Service CIDR is ready"
    assert len(since) == len("2026-11-30")
    assert await held(api) == {"kubernetes": first}


async def test_an_address_comes_and_goes_with_its_service(api: Rest) -> None:
    made = await api.create(SERVICES, service("s"))
    await api.create(SERVICES, service("headless", clusterIP="None"))
    ip = made["spec"]["clusterIP"]
    obj = (await api.get(f"{ADDRESSES}/{ip}")).json

    before = await held(api)
    await api.send("DELETE", f"{SERVICES}/s")
    after = await held(api)

    assert before["s"] == ip and "headless" not in before
    assert obj["spec"] == {"parentRef": {"name": "s", "namespace": "default", "resource": "services"}}
    assert obj["metadata"]["labels"] == {
        "ipaddress.kubernetes.io/ip-family": "IPv4",
        "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
    }
    assert "s" not in after


async def test_a_service_that_becomes_a_name_gives_its_address_back(api: Rest) -> None:
    await api.create(SERVICES, service("s"))
    other = {"spec": {"type": "ExternalName", "externalName": "a.example.com", "ports": None}}

    await api.send("PATCH", f"{SERVICES}/s", other, content_type="application/merge-patch+json")

    assert "s" not in await held(api)


async def test_a_dry_run_takes_no_address(api: Rest) -> None:
    await api.send("POST", f"{SERVICES}?dryRun=All", service("s"))

    assert [*await held(api)] == ["kubernetes"]


async def test_an_address_that_somebody_has_made_is_taken(api: Rest) -> None:
    first = (await api.get(f"{SERVICES}/kubernetes")).json["spec"]["clusterIP"]
    ip = first.rpartition(".")[0] + ".77"
    parent = {"resource": "services", "namespace": "default", "name": "mine"}
    await api.create(ADDRESSES, {"metadata": {"name": ip}, "spec": {"parentRef": parent}})

    answer = await api.send("POST", SERVICES, service("s", clusterIP=ip))

    assert (answer.code, answer.json["message"]) == (
        422,
        f'Service "s" is invalid: spec.clusterIPs: Invalid value: ["{ip}"]: '
        f"failed to allocate IP {ip}: provided IP is already allocated",
    )
