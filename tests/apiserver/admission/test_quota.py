"""Quotas: the arithmetic against a model that counts everything each time, and writers that all want the last place."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.apiserver.admission.quota import ledger
from actors.apiserver.admission.quota.usage import usage_of
from protocols import api as door
from protocols.errors import Forbidden
from protocols.objects import Object, decode_object, encode_object
from tests.apiserver.admission.test_plugins import asking, claim
from tests.apiserver.world import World, config_map, pod, service, world

GIBI = 1 << 30


def quota(name: str = "quota", scopes: tuple[str, ...] = (), selector: Any = None, **hard: Any) -> Object:
    spec: Object = {"hard": {key.replace("__", "/").replace("_", "."): value for key, value in hard.items()}}
    if scopes:
        spec["scopes"] = list(scopes)
    if selector is not None:
        spec["scopeSelector"] = {"matchExpressions": [selector]}
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": spec}


async def used(api: World, name: str = "quota") -> Object:
    return (await api.get("resourcequotas", name)).get("status", {}).get("used", {})


async def until_used(api: World, wanted: Object, name: str = "quota") -> None:
    async with api.stream(door.Watch("resourcequotas", "default")) as stream:
        async for event in stream:
            seen = decode_object(event.body) if event.body else {}
            if seen.get("metadata", {}).get("name") == name and seen.get("status", {}).get("used") == wanted:
                return


# -- the arithmetic ---------------------------------------------------------------------------------------------------

AMOUNTS = st.integers(0, 4)


@st.composite
def pods(draw: st.DrawFn) -> Object:
    made = asking("p", {"cpu": f"{draw(AMOUNTS)}00m"}, {"cpu": "1"})
    if draw(st.booleans()):
        del made["spec"]["containers"][0]["resources"]
    if draw(st.booleans()):
        made["spec"]["activeDeadlineSeconds"] = 5
    if draw(st.booleans()):
        made["spec"]["priorityClassName"] = draw(st.sampled_from(["high", "low"]))
    made["status"] = {"phase": draw(st.sampled_from(["Pending", "Running", "Succeeded"]))}
    return made


SELECTORS = st.sampled_from(
    [
        None,
        {"scopeName": "PriorityClass", "operator": "In", "values": ["high"]},
        {"scopeName": "PriorityClass", "operator": "NotIn", "values": ["high"]},
        {"scopeName": "PriorityClass", "operator": "DoesNotExist"},
    ]
)
SCOPES = st.sampled_from([(), ("Terminating",), ("NotTerminating",), ("BestEffort",), ("NotBestEffort", "Terminating")])


def model_counts(scopes: tuple[str, ...], selector: Any, one: Object) -> bool:
    """As the documentation of scopes says it, word by word."""
    deadline = "activeDeadlineSeconds" in one["spec"]
    best_effort = "resources" not in one["spec"]["containers"][0]
    priority = one["spec"].get("priorityClassName", "")
    meanings = {
        "Terminating": deadline,
        "NotTerminating": not deadline,
        "BestEffort": best_effort,
        "NotBestEffort": not best_effort,
    }
    selected = True
    if selector is not None:
        selected = {"In": priority == "high", "NotIn": priority != "high", "DoesNotExist": not priority}[
            selector["operator"]
        ]
    return all(meanings[scope] for scope in scopes) and selected


def model_used(scopes: tuple[str, ...], selector: Any, alive: dict[int, Object]) -> dict[str, int]:
    counted = [one for one in alive.values() if model_counts(scopes, selector, one)]
    running = [one for one in counted if one["status"]["phase"] != "Succeeded"]
    milli = [
        int(one["spec"]["containers"][0].get("resources", {"requests": {"cpu": "0m"}})["requests"]["cpu"][:-1])
        for one in running
    ]
    return {"pods": len(running), "count/pods": len(counted), "requests.cpu": sum(milli)}


STEPS = st.lists(st.tuples(st.integers(0, 5), st.one_of(st.none(), pods())), max_size=30)


@settings(deadline=None)
@given(SCOPES, SELECTORS, STEPS)
def test_a_quota_lets_in_what_fits_and_its_sum_is_that_of_a_recount(
    scopes: tuple[str, ...], selector: Any, steps: list[tuple[int, Object | None]]
) -> None:
    limits = {"pods": 2, "count/pods": 4, "requests.cpu": 500}
    hard = {"pods": "2", "count__pods": "4", "requests_cpu": "500m"}
    limited, alive = quota(scopes=scopes, selector=selector, **hard), dict[int, Object]()
    sums: ledger.Amounts = dict.fromkeys(ledger.hard_of(limited), 0)

    for place, one in steps:
        before = alive.get(place)
        after = {key: value for key, value in alive.items() if key != place} | ({place: one} if one else {})
        old = usage_of("pods", before) if before else ledger.NOTHING
        new = usage_of("pods", one) if one else ledger.NOTHING
        change = ledger.difference(limited, new, old)
        now, then = model_used(scopes, selector, alive), model_used(scopes, selector, after)
        over = any(then[name] > limits[name] and then[name] > now[name] for name in limits)
        try:
            sums = ledger.charged(limited, sums, change)
            assert not over
            alive = after
        except ledger.Exceeded:
            assert over

        assert sums == ledger.counted(limited, (usage_of("pods", each) for each in alive.values()))
        nanos = {"pods": 10**9, "count/pods": 10**9, "requests.cpu": 10**6}
        assert sums == {name: count * nanos[name] for name, count in model_used(scopes, selector, alive).items()}


def test_who_takes_less_is_let_in_even_above_the_limit() -> None:
    lowered = quota(services="1", services_nodeports="0")

    after = ledger.charged(
        lowered, {"services": 10**9, "services.nodeports": 3 * 10**9}, {"services.nodeports": -(10**9)}
    )

    assert after == {"services": 10**9, "services.nodeports": 2 * 10**9}


def test_what_objects_count_as() -> None:
    made = asking("p", {"cpu": "100m", "memory": "1Gi", "example.com/gpu": "2"}, {"cpu": "1"})
    made["spec"]["initContainers"] = [{"name": "first", "resources": {"requests": {"cpu": "1", "memory": "1Mi"}}}]
    balanced = service("web", "LoadBalancer", ports=[{"port": 80}, {"port": 81}])

    counted = {name: nanos / 10**9 for name, nanos in usage_of("pods", made).amounts.items()}
    claimed = {
        name: nanos / 10**9
        for name, nanos in usage_of(
            "persistentvolumeclaims", claim("c", "2Gi", storageClassName="fast")
        ).amounts.items()
    }
    served = {name: nanos / 10**9 for name, nanos in usage_of("services", balanced).amounts.items()}

    assert counted == {
        "count/pods": 1,
        "pods": 1,
        "cpu": 1,
        "requests.cpu": 1,
        "memory": GIBI,
        "requests.memory": GIBI,
        "requests.example.com/gpu": 2,
        "limits.cpu": 1,
    }
    assert claimed == {
        "count/persistentvolumeclaims": 1,
        "persistentvolumeclaims": 1,
        "requests.storage": 2 * GIBI,
        "fast.storageclass.storage.k8s.io/persistentvolumeclaims": 1,
        "fast.storageclass.storage.k8s.io/requests.storage": 2 * GIBI,
    }
    assert served == {"count/services": 1, "services": 1, "services.loadbalancers": 1, "services.nodeports": 2}


# -- through the server -----------------------------------------------------------------------------------------------


async def test_what_does_not_fit_is_refused_in_kubernetes_words(api: World) -> None:
    await api.create("resourcequotas", quota(requests_cpu="1", limits_memory="1Gi", pods="5"))
    await api.create("pods", asking("a", {"cpu": "600m"}, {"cpu": "1", "memory": "512Mi"}))

    with pytest.raises(Forbidden) as exceeded:
        await api.create("pods", asking("b", {"cpu": "500m"}, {"cpu": "1", "memory": "768Mi"}))
    with pytest.raises(Forbidden) as silent:
        await api.create("pods", pod("c"))

    assert str(exceeded.value) == (
        'pods "b" is forbidden: exceeded quota: quota, requested: limits.memory=768Mi,requests.cpu=500m, '
        "used: limits.memory=512Mi,requests.cpu=600m, limited: limits.memory=1Gi,requests.cpu=1"
    )
    assert str(silent.value) == (
        'pods "c" is forbidden: failed quota: quota: must specify limits.memory for: main; requests.cpu for: main'
    )
    assert await used(api) == {"requests.cpu": "600m", "limits.memory": "512Mi", "pods": "1"}


async def test_what_was_there_before_the_quota_counts(api: World) -> None:
    for name in ("a", "b"):
        await api.create("configmaps", config_map(name))
    await api.create("resourcequotas", quota(configmaps="2", count__configmaps="9"))

    with pytest.raises(Forbidden, match="exceeded quota: quota, requested: configmaps=1, used: configmaps=2"):
        await api.create("configmaps", config_map("c"))

    await until_used(api, {"configmaps": "2", "count/configmaps": "2"})
    assert (await api.get("resourcequotas", "quota"))["status"]["hard"] == {"configmaps": "2", "count/configmaps": "9"}


async def test_what_ends_or_goes_makes_room(api: World) -> None:
    await api.create("resourcequotas", quota(pods="2", count__pods="3"))
    for name in ("a", "b"):
        await api.create("pods", pod(name))

    ended = await api.get("pods", "a")
    await api.update("pods", {**ended, "status": {**ended["status"], "phase": "Succeeded"}}, "status")
    await until_used(api, {"pods": "1", "count/pods": "2"})
    await api.delete("pods", "b", grace_s=0)
    await until_used(api, {"pods": "0", "count/pods": "1"})
    await api.update("resourcequotas", {**await api.get("resourcequotas", "quota"), "spec": {"hard": {"pods": "1"}}})
    await until_used(api, {"pods": "0"})


async def test_a_claim_that_grows_is_charged_for_what_it_grows_by(api: World) -> None:
    head = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": "example.com/none"}
    await api.create(
        "storageclasses.storage.k8s.io", {**head, "metadata": {"name": "fast"}, "allowVolumeExpansion": True}
    )
    await api.create("resourcequotas", quota(requests_storage="3Gi"))
    await api.create("persistentvolumeclaims", claim("data", "1Gi", storageClassName="fast", volumeName="v"))
    bound = await api.get("persistentvolumeclaims", "data")
    await api.update("persistentvolumeclaims", {**bound, "status": {"phase": "Bound"}}, "status")

    grown = {"spec": {"resources": {"requests": {"storage": "2Gi"}}}}
    await api.patch("persistentvolumeclaims", "data", grown)
    with pytest.raises(Forbidden, match=r"requested: requests\.storage=2Gi, used: requests\.storage=2Gi"):
        await api.patch("persistentvolumeclaims", "data", {"spec": {"resources": {"requests": {"storage": "4Gi"}}}})

    assert await used(api) == {"requests.storage": "2Gi"}


async def test_a_dry_run_is_refused_but_charges_nothing(api: World) -> None:
    await api.create("resourcequotas", quota(pods="1"))

    await api.create("pods", pod("a"), dry_run=True)
    await api.create("pods", pod("a"))
    with pytest.raises(Forbidden, match="exceeded quota"):
        await api.create("pods", pod("b"), dry_run=True)

    assert await used(api) == {"pods": "1"}


async def test_two_servers_full_of_writers_never_go_over(tmp_path: Path) -> None:
    async with world(tmp_path) as api:
        other = await api.api_server(["etcd-0/etcd"], system="apiserver-2")
        servers = (api.api, other)
        await api.create("resourcequotas", quota(configmaps="10"))

        async def create(number: int) -> bool:
            request = door.Create("configmaps", encode_object(config_map(f"m-{number}")), "default")
            try:
                await api.systems["test"].ask(servers[number % 2], request, 20.0)
            except Forbidden:
                return False
            return True

        results = await asyncio.gather(*(create(number) for number in range(40)))

        stored = await api.names("configmaps")
        assert sum(results) == len(stored) == 10
        assert await used(api) == {"configmaps": "10"}
        for name in stored[:4]:
            await api.delete("configmaps", name)
        await until_used(api, {"configmaps": "6"})
        results = await asyncio.gather(*(create(number) for number in range(40, 60)))
        assert sum(results) == 4 and await used(api) == {"configmaps": "10"}


async def test_creates_and_deletes_at_once_leave_an_exact_sum(api: World) -> None:
    await api.create("resourcequotas", quota(configmaps="5"))
    above: list[int] = []

    async def churn(client: int) -> None:
        for turn in range(8):
            name = f"m-{client}-{turn}"
            try:
                await api.create("configmaps", config_map(name))
            except Forbidden:
                continue
            listed = await api.ask(door.List("configmaps", "default"))
            above.append(len([decode_object(each.body) for each in listed.items]))
            await api.delete("configmaps", name)

    await asyncio.gather(*(churn(client) for client in range(10)))

    assert above and max(above) <= 5
    await until_used(api, {"configmaps": "0"})


async def test_a_quota_without_a_spec_limits_nothing_and_harms_nobody(tmp_path: Path) -> None:
    async with world(tmp_path) as api, api.stream(door.Watch("resourcequotas", "default")) as stream:
        bare = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "bare", "namespace": "default"}}
        await api.create("resourcequotas", bare)
        await api.create("pods", pod("web"))
        await api.create("resourcequotas", quota(pods="3"))

        seen: list[tuple[str, Object]] = []
        async for event in stream:
            if event.body:
                now = decode_object(event.body)
                seen.append((now["metadata"]["name"], now.get("status", {}).get("used")))
            if seen[-1:] == [("quota", {"pods": "1"})]:
                break

        assert [name for name, _ in seen].count("bare") <= 2
