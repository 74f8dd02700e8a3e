"""What a scheduler serves to operators over HTTPS: real requests, with the API server saying who may read what."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest

from actorkube.kube import elected
from actorkube.kube.election import LeaderElection
from actorkube.kube.serving import Serving, ServingPage
from actors.apiserver.tls import Authority, server_context
from actors.cluster_scheduler import Setup, scheduler_of
from actors.scheduler.profile import DEFAULT_PROFILE
from actors.scheduler.queue import BACKOFF
from protocols.controller import AskActivity
from tests.apiserver.rest_client import NOW, Answer, Rest, client_context, rest
from tests.runtime.links import until

ELECTION = LeaderElection("kube-scheduler")


class Served(NamedTuple):
    """A scheduler's page, and the API server before which it works."""

    api: Rest
    page: ServingPage
    record: Path

    async def get(
        self, path: str, by: aiohttp.ClientSession | None = None, token: str = "", verb: str = "GET"
    ) -> Answer:
        """As nobody, unless somebody is named."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        url = f"https://127.0.0.1:{self.page.port}{path}"
        async with (by or self.api.anonymous).request(verb, url, headers=headers) as response:
            return Answer(response, await response.read())


@asynccontextmanager
async def served(directory: Path, election: LeaderElection | None = None, synced: bool = True) -> AsyncIterator[Served]:
    async with rest(directory) as api:
        authority = Authority(directory / "pki", NOW)
        issued = authority.component()

        def context() -> ssl.SSLContext:
            return server_context(authority.ca_file, issued.cert_file, issued.key_file)

        setup = Setup([DEFAULT_PROFILE], BACKOFF, election)
        system = await api.world.system("scheduler")
        apis = ("apiserver/api",) if synced else ("nowhere/api",)
        scheduler = system.spawn(scheduler_of(setup, apis), "scheduler")
        record = directory / "serving" / "scheduler.json"
        flags = lambda: {"leader-elect": str(election is not None).lower()}  # noqa: E731
        serving = Serving(
            "kube-scheduler", "scheduler", context, setup.told, lambda: "1.36", ("resources",), record, flags
        )
        page = ServingPage(system, serving, ("apiserver/api",))
        system.spawn(lambda: page, "serving")
        await until(lambda: record.exists())
        if synced:
            await until_settled(system, scheduler)
        yield Served(api, page, record)


async def until_settled(system: Any, scheduler: Any) -> None:
    for _ in range(10_000):
        if (await system.ask(scheduler, AskActivity())).settled:
            return
    raise AssertionError("the scheduler does not settle")


@pytest.fixture
async def scheduler(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path) as here:
        yield here


@pytest.mark.parametrize("kind", ["healthz", "livez", "readyz"])
async def test_everybody_may_ask_whether_it_is_well(scheduler: Served, kind: str) -> None:
    short = await scheduler.get(f"/{kind}")
    verbose = await scheduler.get(f"/{kind}?verbose")
    single = await scheduler.get(f"/{kind}/ping")
    as_admin = await scheduler.get(f"/{kind}/ping", by=scheduler.api.admin)

    assert (short.code, short.body) == (200, b"ok")
    lines = verbose.body.decode().splitlines()
    assert lines[0] == "[+]ping ok" and lines[-1] == f"{kind} check passed"
    assert ("[+]sched-handler-sync ok" in lines) == (kind == "readyz")
    assert (single.code, as_admin.code, as_admin.body) == (403, 200, b"ok")


async def test_a_scheduler_that_has_not_seen_the_cluster_lives_and_is_not_ready(tmp_path: Path) -> None:
    async with served(tmp_path, synced=False) as here:
        live, ready = await here.get("/livez"), await here.get("/readyz")
        without = await here.get("/readyz?exclude=sched-handler-sync")

    assert live.code == 200
    assert ready.code == 500
    assert "[-]sched-handler-sync failed: reason withheld\nreadyz check failed" in ready.body.decode()
    assert without.code == 200


async def test_a_scheduler_that_is_gone_is_not_well(scheduler: Served) -> None:
    await scheduler.api.world.systems["scheduler"].kill("scheduler")

    found = await scheduler.get("/healthz")

    assert found.code == 500
    assert "[-]scheduler failed: reason withheld" in found.body.decode()


async def test_one_that_leads_without_its_lease_is_not_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(tmp_path, ELECTION) as here:
        well = await here.get("/healthz?verbose")
        monkeypatch.setattr(elected, "LATE_S", -1000.0)
        late = await here.get("/healthz")

    assert "[+]leaderElection ok" in well.body.decode()
    assert late.code == 500 and "[-]leaderElection failed" in late.body.decode()


async def test_metrics_are_for_who_may_read_them(scheduler: Served) -> None:
    nobody = await scheduler.get("/metrics")
    forged = await scheduler.get("/metrics", token="nonsense")
    robot = await scheduler.get("/metrics", token="good")
    monitor = await scheduler.get("/metrics", token="monitor")
    admin = await scheduler.get("/metrics", by=scheduler.api.admin)

    assert (nobody.code, forged.code, robot.code, monitor.code, admin.code) == (403, 401, 403, 200, 200)
    assert nobody.json["message"] == 'forbidden: User "system:anonymous" cannot get path "/metrics"'
    assert robot.json["message"] == 'forbidden: User "robot" cannot get path "/metrics"'
    assert (forged.json["kind"], forged.json["reason"]) == ("Status", "Unauthorized")
    for answer in (monitor, admin):
        assert b'scheduler_pending_pods{queue="active"} 0.0' in answer.body
        assert b'actorkube_system_up_seconds{system="scheduler"}' in answer.body
        assert answer.headers["Content-Type"].startswith("text/plain; version=")


async def test_a_certificate_of_another_authority_is_turned_away(scheduler: Served, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "elsewhere", NOW)
    context = client_context(Authority(tmp_path / "pki", NOW), stranger.admin())

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        with pytest.raises(aiohttp.ClientError):
            await scheduler.get("/metrics", by=session)

    assert (await scheduler.get("/healthz")).code == 200


async def test_nobody_gets_in_while_the_api_server_does_not_say_who_may(scheduler: Served) -> None:
    await scheduler.api.world.stop_system("apiserver")

    monitor = await scheduler.get("/metrics", token="monitor")
    admin = await scheduler.get("/metrics", by=scheduler.api.admin)

    assert (monitor.code, monitor.json["reason"]) == (500, "InternalError")
    assert admin.code == 200  # his certificate says that he may everything
    assert (await scheduler.get("/healthz")).code == 200


@pytest.mark.parametrize(
    ("verb", "path", "code"),
    [
        ("POST", "/metrics", 405),
        ("GET", "/debug/pprof", 404),
        ("GET", "/metrics/nonsense", 404),
        ("GET", "/readyz/nonsense", 404),
        ("HEAD", "/metrics", 200),
        ("GET", "/", 200),
    ],
)
async def test_what_there_is_not_is_not_found(scheduler: Served, verb: str, path: str, code: int) -> None:
    answer = await scheduler.get(path, by=scheduler.api.admin, verb=verb)

    assert answer.code == code


async def test_what_pods_ask_for_is_served_beside(scheduler: Served) -> None:
    pod = {
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "2"}}}]},
    }
    await scheduler.api.create("/api/v1/namespaces/default/pods", {"apiVersion": "v1", "kind": "Pod", **pod})

    for _ in range(1000):
        page = await scheduler.get("/metrics/resources", by=scheduler.api.admin)
        if b'pod="p"' in page.body:
            break

    assert b'resource="cpu",scheduler="default-scheduler",unit="cores"} 2.0' in page.body
    assert b"scheduler_pending_pods" not in page.body


async def test_the_configuration_and_the_state_are_told(tmp_path: Path) -> None:
    async with served(tmp_path, ELECTION) as here:
        config = (await here.get("/configz", by=here.api.admin)).json["kubescheduler.config.k8s.io"]
        status = (await here.get("/statusz", by=here.api.admin)).body.decode()
        flags = (await here.get("/flagz", by=here.api.admin)).body.decode()

    assert (config["kind"], config["leaderElection"]["resourceName"]) == (
        "KubeSchedulerConfiguration",
        "kube-scheduler",
    )
    [profile] = config["profiles"]
    assert {"name": "TaintToleration", "weight": 3} in profile["plugins"]["score"]["enabled"]
    assert profile["plugins"]["bind"] == {"enabled": [{"name": "DefaultBinder"}]}
    assert status.startswith("\nkube-scheduler statusz\nWarning: ")
    assert "\nEmulation version: 1.36\n" in status
    assert "\nPaths: /configz /flagz /healthz /livez /metrics /readyz /statusz\n" in status
    assert flags.startswith("\nkube-scheduler flagz\nWarning: ") and flags.endswith("\nleader-elect=true\n")


async def test_it_is_written_down_where_it_is_served_as_long_as_it_is(scheduler: Served) -> None:
    written = json.loads(scheduler.record.read_text())
    await scheduler.api.world.systems["scheduler"].stop()

    assert written == [{"targets": [f"127.0.0.1:{scheduler.page.port}"], "labels": {"job": "kube-scheduler"}}]
    assert not scheduler.record.exists()
