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
    assert answered[total, *of_pods("POST", "resource"), "", "201"] == 1
    assert answered[total, *of_pods("POST", "resource"), "All", "201"] == 1
    assert answered[total, *of_pods("POST", "resource"), "", "409"] == 1
    assert answered[total, *of_pods("LIST", "namespace"), "", "200"] == 1
    assert answered[total, *of_pods("LIST", "cluster"), "", "200"] == 1
    assert answered[total, *of_pods("GET", "resource", "status"), "", "200"] == 1
    assert answered[total, *of_pods("GET", "resource"), "", "404"] == 1
    lasted = await read(api, *SUBJECT, "dry_run")
    assert lasted["apiserver_request_duration_seconds_count", *of_pods("POST", "resource"), ""] == 2
    buckets = await read(api, *SUBJECT, "dry_run", "le")
    bounds = [key[-1] for key in buckets if key[1:-2] == of_pods("POST", "resource") and not key[-2]]
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
    assert answered["apiserver_request_total", "other", *[""] * 5, "apiserver", "", "404"] == 2


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


async def test_what_is_not_held_open_is_told_for_objectives(api: Rest) -> None:
    await api.get(PODS)
    async with api.watch(f"{PODS}?watch=1&timeoutSeconds=1") as watch:
        await watch.names(0)

    lasted = await read(api, *SUBJECT)
    buckets = await read(api, *SUBJECT, "le")

    name = "apiserver_request_sli_duration_seconds"
    assert lasted[f"{name}_count", *of_pods("LIST", "namespace")] == 1
    assert not any(key[:2] == (f"{name}_count", "WATCH") for key in lasted)
    assert [key[-1] for key in buckets if key[1:-1] == of_pods("LIST", "namespace")][:3] == ["0.05", "0.1", "0.2"]


async def test_an_apply_is_no_patch_like_others(api: Rest) -> None:
    applied = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}}
    path = "/api/v1/namespaces/default/configmaps/m"

    await api.send("PATCH", f"{path}?fieldManager=f", applied, content_type="application/apply-patch+yaml")
    await api.send("PATCH", path, {}, content_type="application/merge-patch+json")

    answered = await read(api, *ANSWERED)
    of = ("", "v1", "configmaps", "", "resource", "apiserver", "")
    assert answered["apiserver_request_total", "APPLY", *of, "201"] == 1
    assert answered["apiserver_request_total", "PATCH", *of, "200"] == 1


async def test_who_asks_for_what_is_to_go_is_counted(api: Rest) -> None:
    await api.get("/api/v1/endpoints")
    await api.get("/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas")

    asked = await read(api, "group", "version", "resource", "subresource", "removed_release")

    assert [key[1:] for key in asked if key[0] == "apiserver_requested_deprecated_apis"] == [
        ("", "v1", "endpoints", "", "")
    ]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_metrics_are_told_whatever_the_method(api: Rest, method: str) -> None:
    answer = await api.send(method, "/metrics")

    assert (answer.code, answer.headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")


async def test_families_that_dashboards_read(api: Rest) -> None:
    text = (await api.get("/metrics")).body.decode()

    for name in ("process_start_time_seconds", "process_open_fds", "apiserver_flowcontrol_request_execution_seconds"):
        assert f"\n# TYPE {name} " in text
    assert text.count("# TYPE process_cpu_seconds_total ") == 1


async def test_checks_of_health_for_prometheus(api: Rest) -> None:
    told = samples((await api.get("/metrics/slis")).body, "name", "type")

    assert told["kubernetes_healthcheck", "etcd", "livez"] == told["kubernetes_healthcheck", "shutdown", "readyz"] == 1
    assert ("kubernetes_healthcheck", "shutdown", "livez") not in told
