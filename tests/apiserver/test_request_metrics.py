"""What the API server counts of REST requests: kube-apiserver's names, labels that nobody can make up, true numbers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actors.apiserver.rest.counts import BOUNDS_S
from protocols.observe import AskExposition
from tests.apiserver.rest_client import Rest, rest
from tests.apiserver.world import pod
from tests.samples import Samples, samples

PODS = "/api/v1/namespaces/default/pods"
SUBJECT = ("verb", "group", "version", "resource", "subresource", "scope", "component")
ANSWERED = (*SUBJECT, "dry_run", "code")


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Rest]:
    async with rest(tmp_path) as client:
        yield client


async def read(api: Rest, *labels: str) -> Samples:
    return samples((await api.get("/metrics")).body, *labels)


def of_pods(verb: str, scope: str, subresource: str = "") -> tuple[str, ...]:
    return verb, "", "v1", "pods", subresource, scope, "apiserver"


async def test_requests_are_counted_by_what_they_were_about_and_what_came_of_them(api: Rest) -> None:
    await api.create(PODS, pod("web"))
    await api.send("POST", PODS + "?dryRun=All", pod("other"))
    await api.send("POST", PODS, pod("web"))
    await api.get(PODS)
    await api.get("/api/v1/pods")
    await api.get(f"{PODS}/web/status")
    await api.get(f"{PODS}/nobody")

    answered = await read(api, *ANSWERED)

    total = "apiserver_request_total"
    assert answered[total, *of_pods("POST", "namespace"), "", "201"] == 1
    assert answered[total, *of_pods("POST", "namespace"), "All", "201"] == 1
    assert answered[total, *of_pods("POST", "namespace"), "", "409"] == 1
    assert answered[total, *of_pods("LIST", "namespace"), "", "200"] == 1
    assert answered[total, *of_pods("LIST", "cluster"), "", "200"] == 1
    assert answered[total, *of_pods("GET", "resource", "status"), "", "200"] == 1
    assert answered[total, *of_pods("GET", "resource"), "", "404"] == 1
    lasted = await read(api, *SUBJECT, "dry_run")
    assert lasted["apiserver_request_duration_seconds_count", *of_pods("POST", "namespace"), ""] == 2
    buckets = await read(api, *SUBJECT, "dry_run", "le")
    bounds = [key[-1] for key in buckets if key[1:-2] == of_pods("POST", "namespace") and not key[-2]]
    assert [float(bound) for bound in bounds] == [*BOUNDS_S, float("inf")]


async def test_what_is_open_now_is_told(api: Rest) -> None:
    async with api.watch(f"{PODS}?watch=1") as watch:
        await api.create(PODS, pod("web"))
        await watch.event()
        during = await read(api, *SUBJECT)
        in_flight = await read(api, "request_kind")

    assert during["apiserver_longrunning_requests", *of_pods("WATCH", "namespace")] == 1
    assert in_flight["apiserver_current_inflight_requests", "readOnly"] == 1  # this very question
    assert in_flight["apiserver_current_inflight_requests", "mutating"] == 0


async def test_a_watch_that_its_client_ends_was_answered(api: Rest) -> None:
    async with api.watch(f"{PODS}?watch=1") as watch:
        await api.create(PODS, pod("web"))
        await watch.event()
        watch.response.close()
        for _ in range(1000):
            held = await read(api, *SUBJECT)
            if not held["apiserver_longrunning_requests", *of_pods("WATCH", "namespace")]:
                break

    answered = await read(api, *ANSWERED)
    assert held["apiserver_longrunning_requests", *of_pods("WATCH", "namespace")] == 0
    assert answered["apiserver_request_total", *of_pods("WATCH", "namespace"), "", "200"] == 1


async def test_who_asks_for_what_there_is_not_makes_no_series_of_his_own(api: Rest) -> None:
    for name in ("made-up", "made-up-too"):
        await api.get(f"/apis/example.com/v1/{name}")
        await api.get(f"/{name}")
        await api.send("PROPFIND", f"/{name}")

    answer = await api.get("/metrics")

    assert b"made" not in answer.body.lower()
    answered = samples(answer.body, *ANSWERED)
    assert answered["apiserver_request_total", "LIST", *[""] * 5, "apiserver", "", "404"] == 2
    assert answered["apiserver_request_total", "OTHER", *[""] * 5, "apiserver", "", "404"] == 2


async def test_objects_are_counted_by_resource(api: Rest) -> None:
    await api.create(PODS, pod("web"))
    await api.create(PODS, pod("other"))

    new, old = await read(api, "group", "resource"), await read(api, "resource")

    assert new["apiserver_resource_objects", "", "pods"] == old["apiserver_storage_objects", "pods"] == 2
    assert new["apiserver_resource_objects", "rbac.authorization.k8s.io", "clusterroles"] > 10
    assert old["apiserver_storage_objects", "clusterroles.rbac.authorization.k8s.io"] > 10


async def test_another_api_server_can_be_asked_for_what_this_one_counts(api: Rest) -> None:
    await api.get(PODS)
    asker = api.world.systems["test"]

    told = await asker.ask(asker.ref("apiserver/observer"), AskExposition())

    assert samples(told.text, *ANSWERED)["apiserver_request_total", *of_pods("LIST", "namespace"), "", "200"] == 1
    assert b"apiserver_flowcontrol_nominal_limit_seats" in told.text
