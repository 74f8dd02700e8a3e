"""Priority and fairness over HTTP: who waits, who is sent away, and what is kept for those who look on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from protocols.objects import Object
from tests.apiserver.rest_client import Answer, Rest
from tests.apiserver.world import config_map, pod

FLOWS = "/apis/flowcontrol.apiserver.k8s.io/v1"
SCHEMAS, LEVELS = f"{FLOWS}/flowschemas", f"{FLOWS}/prioritylevelconfigurations"
MAPS = "/api/v1/namespaces/default/configmaps"
DUMP = "/debug/api_priority_and_fairness"
LOOKS = 2000


def level(name: str, response: Object, shares: int = 1) -> Object:
    limited = {"nominalConcurrencyShares": shares, "borrowingLimitPercent": 0, "limitResponse": response}
    return {"metadata": {"name": name}, "spec": {"type": "Limited", "limited": limited}}


def schema(name: str, level_name: str) -> Object:
    rule = {
        "subjects": [{"kind": "Group", "group": {"name": "system:authenticated"}}],
        "resourceRules": [{"verbs": ["*"], "apiGroups": [""], "resources": ["*"], "namespaces": ["*"]}],
    }
    spec = {"priorityLevelConfiguration": {"name": level_name}, "matchingPrecedence": 50, "rules": [rule]}
    return {"metadata": {"name": name}, "spec": {**spec, "distinguisherMethod": {"type": "ByUser"}}}


async def one_seat(api: Rest, response: Object) -> None:
    await api.create(LEVELS, level("narrow", response))
    await api.create(SCHEMAS, schema("narrow", "narrow"))


QUEUE = {"type": "Queue", "queuing": {"queues": 64, "handSize": 1, "queueLengthLimit": 50}}
REJECT = {"type": "Reject"}


async def waits_and_runs(api: Rest) -> tuple[int, int]:
    table = (await api.get(f"{DUMP}/dump_priority_levels")).body.decode()
    rows = {row.split(",\t")[0]: row.split(",\t") for row in table.splitlines()}
    return int(rows["narrow"][4]), int(rows["narrow"][5])


async def until(api: Rest, waiting: int, running: int) -> None:
    for _ in range(LOOKS):
        if (found := await waits_and_runs(api)) == (waiting, running):
            return
    raise AssertionError(f"{found} wait and run")


@asynccontextmanager
async def held(api: Rest, token: str, names: list[str], ended: Callable[[str, int], None]) -> AsyncIterator[None]:
    """So many creates that have begun and whose bodies come when this is left: served, they do not end before."""
    release = asyncio.Event()

    async def body(name: str) -> AsyncIterator[bytes]:
        yield b'{"apiVersion": "v1", "kind": "ConfigMap", '
        await release.wait()
        yield b'"metadata": {"name": "%s"}}' % name.encode()

    async def create(name: str) -> None:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        async with api.anonymous.post(api.base + MAPS, data=body(name), headers=headers) as response:
            await response.read()
            ended(name, response.status)

    async with asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(create(name))
        try:
            yield
        finally:
            release.set()


async def test_a_flood_by_one_user_does_not_keep_another_waiting(api: Rest) -> None:
    await one_seat(api, QUEUE)
    order: list[str] = []

    async def ask_once() -> None:
        assert (await api.by("good", "GET", MAPS)).code == 200
        order.append("robot")

    flood = [f"jane-{number}" for number in range(30)]
    async with asyncio.TaskGroup() as group, held(api, "jane", flood, lambda name, _: order.append(name)):
        await until(api, 29, 1)
        group.create_task(ask_once())
        await until(api, 30, 1)

    assert len(order) == 31 and order.index("robot") <= 3  # answers that come together are read in any order


@pytest.mark.slow
async def test_who_finds_no_seat_is_sent_away_in_kubernetes_words(api: Rest) -> None:
    assert (await api.by("good", "GET", MAPS)).code == 200  # it belongs elsewhere as yet
    await one_seat(api, REJECT)
    ended: list[int] = []

    async with held(api, "jane", ["a"], lambda _, code: ended.append(code)):
        await until(api, 0, 1)
        answer = await api.by("good", "GET", MAPS)
        exempt = await api.get(MAPS)
    after = await api.by("good", "GET", MAPS)
    metrics = (await api.get("/metrics?system=apiserver")).body.decode()

    assert (answer.code, answer.headers["Retry-After"], answer.json["reason"]) == (429, "1", "TooManyRequests")
    assert answer.json["message"] == "Too many requests, please try again later."
    assert (exempt.code, ended, after.code) == (200, [201], 200)
    of = 'flow_schema="narrow",priority_level="narrow"'
    assert f'apiserver_flowcontrol_rejected_requests_total{{{of},reason="concurrency-limit"}} 1.0' in metrics
    assert f"apiserver_flowcontrol_dispatched_requests_total{{{of}}} 2.0" in metrics
    assert 'apiserver_flowcontrol_nominal_limit_seats{priority_level="narrow"} 1.0' in metrics
    assert f"apiserver_flowcontrol_current_executing_requests{{{of}}} 0.0" in metrics


async def test_full_queues_send_away_and_who_waits_too_long_is_too(api: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.apiserver.flowcontrol.gate.WAIT_S", 0.05)
    await one_seat(api, {"type": "Queue", "queuing": {"queues": 1, "handSize": 1, "queueLengthLimit": 1}})

    async with held(api, "jane", ["a"], lambda *_: None):
        await until(api, 0, 1)
        answers = await asyncio.gather(*(api.by("good", "GET", MAPS) for _ in range(3)))
        await until(api, 0, 1)
    metrics = (await api.get("/metrics?system=apiserver")).body.decode()

    assert [answer.code for answer in answers] == [429] * 3
    lines = [line for line in metrics.splitlines() if 'rejected_requests_total{flow_schema="narrow"' in line]
    assert [line.rpartition("reason=")[2] for line in lines] == ['"queue-full"} 2.0', '"time-out"} 1.0']


async def test_what_lasts_takes_no_seat_once_it_has_begun(api: Rest) -> None:
    await one_seat(api, REJECT)
    await api.create("/api/v1/namespaces/default/pods", pod("web"))
    headers = {"Authorization": "Bearer jane"}

    async with (
        api.anonymous.get(f"{api.base}{MAPS}?watch=1&resourceVersion=1", headers=headers) as first,
        api.anonymous.get(f"{api.base}{MAPS}?watch=1&resourceVersion=1", headers=headers) as second,
        held(api, "jane", ["a"], lambda *_: None),
    ):
        await until(api, 0, 1)
        log = await api.by("good", "GET", "/api/v1/namespaces/default/pods/web/log")

        assert (first.status, second.status) == (200, 200)
        assert "X-Kubernetes-PF-FlowSchema-UID" in first.headers
        assert log.code != 429 and "X-Kubernetes-PF-FlowSchema-UID" not in log.headers


@pytest.mark.slow
async def test_every_answer_says_where_its_request_belonged(api: Rest) -> None:
    uids = {each["metadata"]["name"]: each["metadata"]["uid"] for each in await listed(api, SCHEMAS)}
    levels = {each["metadata"]["name"]: each["metadata"]["uid"] for each in await listed(api, LEVELS)}

    answers = [await api.get(MAPS), await api.by("jane", "GET", f"{MAPS}/none"), await api.by("", "GET", "/readyz")]

    assert [belongs(answer) for answer in answers] == [
        (uids["exempt"], levels["exempt"]),
        (uids["global-default"], levels["global-default"]),
        (uids["probes"], levels["exempt"]),
    ]


async def test_every_cluster_has_the_defaults_and_gets_them_back(api: Rest) -> None:
    names = {each["metadata"]["name"] for each in await listed(api, SCHEMAS)}
    for gone in ("catch-all", "service-accounts"):
        await api.send("DELETE", f"{SCHEMAS}/{gone}")
    await until_true(api, SCHEMAS, lambda found: {each["metadata"]["name"] for each in found} == names)

    assert len(names) == 11 and {"exempt", "catch-all", "global-default", "probes"} < names
    assert {condition(await listed(api, SCHEMAS), name) for name in names} == {("False", "Found")}
    assert len(await listed(api, LEVELS)) == 8


@pytest.mark.parametrize(("says", "precedence"), [("true", 9900), ("false", 9800)])
async def test_what_is_suggested_may_be_changed_by_who_says_so(api: Rest, says: str, precedence: int) -> None:
    patch = {
        "metadata": {"annotations": {"apf.kubernetes.io/autoupdate-spec": says}},
        "spec": {"matchingPrecedence": 9800},
    }
    path = f"{SCHEMAS}/global-default"

    changed = await api.send("PATCH", path, patch, content_type="application/merge-patch+json")
    await api.create(SCHEMAS, schema("later", "missing"))  # what is done about it is done about the other, too
    await until_true(api, SCHEMAS, lambda found: condition(found, "later") == ("True", "NotFound"))

    assert changed.code == 200 and (await api.get(path)).json["spec"]["matchingPrecedence"] == precedence


async def test_a_schema_says_whether_its_level_is_there(api: Rest) -> None:
    await api.create(SCHEMAS, schema("early", "late"))
    await until_true(api, SCHEMAS, lambda found: condition(found, "early") == ("True", "NotFound"))
    await api.create(LEVELS, level("late", REJECT))
    await until_true(api, SCHEMAS, lambda found: condition(found, "early") == ("False", "Found"))

    table = await api.get(f"{SCHEMAS}/early", Accept="application/json;as=Table;v=v1;g=meta.k8s.io")
    levels = await api.get(LEVELS, Accept="application/json;as=Table;v=v1;g=meta.k8s.io")

    assert table.json["rows"][0]["cells"][:4] == ["early", "late", 50, "ByUser"]
    assert table.json["rows"][0]["cells"][5] == "False"
    rows = {row["cells"][0]: row["cells"][1:6] for row in levels.json["rows"]}
    assert rows["workload-low"] == ["Limited", 100, 128, 6, 50]
    assert rows["exempt"] == ["Exempt", "<none>", "<none>", "<none>", "<none>"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "spec", "says"),
    [
        (f"{SCHEMAS}/catch-all", {"matchingPrecedence": 9000}, "spec of 'catch-all' must equal the fixed value"),
        (
            f"{SCHEMAS}/probes",
            {"matchingPrecedence": 1},
            "only the schema named 'exempt' may have matchingPrecedence 1",
        ),
        (f"{LEVELS}/system", {"type": "Exempt"}, "type must be 'Exempt' if and only if name is 'exempt'"),
        (f"{LEVELS}/system", {"limited": {"lendablePercent": 101}}, "must be between 0 and 100, inclusive"),
        (
            f"{LEVELS}/system",
            {"limited": {"limitResponse": {"queuing": {"handSize": 60}}}},
            "required entropy bits of deckSize 64 and handSize 60 should not be greater than 60",
        ),
        (f"{LEVELS}/exempt", {"exempt": {"nominalConcurrencyShares": 7}}, ""),
    ],
)
async def test_what_makes_no_sense_is_refused(api: Rest, path: str, spec: Object, says: str) -> None:
    answer = await api.send("PATCH", path, {"spec": spec}, content_type="application/merge-patch+json")

    assert (answer.code, says in answer.json.get("message", "")) == (422 if says else 200, True)


async def test_dumps_show_who_waits(api: Rest) -> None:
    await one_seat(api, QUEUE)

    async with held(api, "jane", ["a", "b"], lambda *_: None):
        await until(api, 1, 1)
        queues = (await api.get(f"{DUMP}/dump_queues")).body.decode().splitlines()
        requests = (await api.get(f"{DUMP}/dump_requests")).body.decode().splitlines()
        unknown = await api.get(f"{DUMP}/dump_everything")

    assert sum(line.startswith("narrow") for line in queues) == 64
    assert requests[1].startswith("narrow,\tnarrow,\t") and ",\tjane,\t" in requests[1] and len(requests) == 2
    assert unknown.code == 404


@pytest.mark.slow
async def test_a_level_that_goes_serves_who_is_in_it_to_the_end(api: Rest) -> None:
    await one_seat(api, QUEUE)
    ended: list[int] = []

    async with held(api, "jane", ["a", "b", "c"], lambda _, code: ended.append(code)):
        await until(api, 2, 1)
        await api.send("DELETE", f"{LEVELS}/narrow")
        free = await api.by("good", "POST", MAPS, config_map("d"))

    assert free.code == 201 and ended == [201] * 3


async def listed(api: Rest, path: str) -> list[Object]:
    items: list[Object] = (await api.get(path)).json["items"]
    return items


async def until_true(api: Rest, path: str, holds: Callable[[list[Object]], bool]) -> None:
    for _ in range(LOOKS):
        if holds(await listed(api, path)):
            return
    raise AssertionError(f"it does not become true of {path}")


def condition(found: list[Object], name: str) -> tuple[Any, Any]:
    status = next(each.get("status") or {} for each in found if each["metadata"]["name"] == name)
    conditions = status.get("conditions") or [{}]
    return conditions[0].get("status"), conditions[0].get("reason")


def belongs(answer: Answer) -> tuple[str, str]:
    headers = answer.headers
    return headers["X-Kubernetes-PF-FlowSchema-UID"], headers["X-Kubernetes-PF-PriorityLevel-UID"]
