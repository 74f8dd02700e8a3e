"""Cluster IPs and node ports: each is held by one Service at a time, through changes, deletions and restarts."""

from __future__ import annotations

import random
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from actors.apiserver.allocate import NotAvailable, Ranges, allocate, held_by, releases_of
from actors.apiserver.keys import parse_store_key
from protocols.errors import InternalError, Invalid
from protocols.objects import Object
from tests.apiserver.world import World, service, world

SMALL = Ranges(IPv4Network("127.66.0.0/28"), range(30000, 30004))  # 13 addresses and 4 ports to give
ENOUGH = Ranges(SMALL.service_cidr, range(30000, 30006))  # a port for each of six services


@pytest.mark.slow
@settings(max_examples=100)
@example(seed=0, steps=[(name, "NodePort") for name in "abcdef"])
@given(
    seed=st.integers(0, 1000),
    steps=st.lists(
        st.tuples(st.sampled_from("abcdef"), st.sampled_from(["ClusterIP", "NodePort", "ExternalName", "delete"])),
        max_size=25,
    ),
)
def test_no_two_services_ever_hold_the_same(seed: int, steps: list[tuple[str, str]]) -> None:
    chance, services = random.Random(seed), dict[str, Object]()
    taken: dict[str, dict[str, str]] = {"clusterip": {"127.66.0.1": "kubernetes"}, "nodeport": {}}

    def move(keys: tuple[bytes, ...], holder: str | None) -> None:
        for key in keys:
            kind, value = (parse_store_key(key) or ("", ""))[0].partition(".")[0], key.decode().rpartition("/")[2]
            if holder is None:
                del taken[kind][value]
            else:
                assert value not in taken[kind]
                taken[kind][value] = holder

    for name, change in steps:
        old = services.get(name)
        if change == "delete":
            if old is not None:
                move(releases_of(services.pop(name)), None)
            continue
        wanted = service(name, change)
        if old is not None:  # a client sends back what it read, with another type
            wanted = {**old, "spec": {**old["spec"], "type": change}}
        allocation = allocate(wanted, old, taken, ENOUGH, chance)
        move(allocation.releases, None)
        move(tuple(claim.key for claim in allocation.claims), name)
        services[name] = allocation.service

    held = [(kind, value) for obj in services.values() for kind, value in held_by(obj)]
    assert len(held) == len(set(held))
    assert set(held) | {("clusterip", "127.66.0.1")} == {(kind, value) for kind in taken for value in taken[kind]}


def test_the_last_free_one_is_found_and_then_the_range_is_full() -> None:
    ports = {str(number): "x" for number in (30000, 30001, 30003)}
    ips = {str(ip): "x" for ip in list(SMALL.service_cidr)[2:-1]}

    given = allocate(service("a", "NodePort", clusterIP="None"), None, {"nodeport": ports}, SMALL, random.Random(1))

    assert given.service["spec"]["ports"][0]["nodePort"] == 30002
    with pytest.raises(InternalError, match="failed to allocate a serviceIP: range is full"):
        allocate(service("b"), None, {"clusterip": ips}, SMALL, random.Random(1))


async def test_services_get_what_their_type_needs_and_give_it_back(api: World) -> None:
    web = await api.create("services", service("web"))
    ip = web["spec"]["clusterIP"]
    assert ip.startswith("127.66.") and web["spec"]["clusterIPs"] == [ip]
    assert (await api.create("services", service("headless", clusterIP="None")))["spec"]["clusterIP"] == "None"

    public = await api.patch("services", "web", {"spec": {"type": "NodePort"}})
    port = public["spec"]["ports"][0]["nodePort"]
    private = await api.patch("services", "web", {"spec": {"type": "ClusterIP"}})

    assert 30000 <= port <= 32767 and public["spec"]["clusterIP"] == ip
    assert "nodePort" not in private["spec"]["ports"][0] and private["spec"]["clusterIP"] == ip
    await api.create("services", service("other", "NodePort", ports=[{"port": 80, "nodePort": port}]))


async def test_what_is_taken_or_out_of_range_is_refused_in_kubernetes_words(api: World) -> None:
    web = await api.create("services", service("web", "NodePort"))
    ip, port = web["spec"]["clusterIP"], web["spec"]["ports"][0]["nodePort"]

    with pytest.raises(Invalid, match=f"failed to allocate IP {ip}: provided IP is already allocated"):
        await api.create("services", service("thief", clusterIP=ip))
    with pytest.raises(Invalid, match="is not in the valid range"):
        await api.create("services", service("stranger", clusterIP="10.0.0.1"))
    with pytest.raises(Invalid, match=r"spec.ports\[0\].nodePort: Invalid value: \d+: provided port is already alloca"):
        await api.create("services", service("thief", "NodePort", ports=[{"port": 80, "nodePort": port}]))
    with pytest.raises(Invalid, match="The range of valid ports is 30000-32767"):
        await api.create("services", service("stranger", "NodePort", ports=[{"port": 80, "nodePort": 80}]))
    assert await api.names("services") == ["kubernetes", "web"]


async def test_an_address_is_not_changed_whatever_the_new_one_would_be(api: World) -> None:
    first = (await api.create("services", service("first")))["spec"]["clusterIP"]
    await api.create("services", service("web"))

    for other in (first, "10.0.0.1"):
        with pytest.raises(
            Invalid, match=rf'spec.clusterIPs\[0\]: Invalid value: \["{other}"\]: may not change once set'
        ):
            await api.patch("services", "web", {"spec": {"clusterIP": other}})


async def test_a_restart_forgets_nothing_that_is_held(tmp_path: Path) -> None:
    async with world(tmp_path, service_cidr="127.66.0.0/29") as here:  # five to give, beside the first
        for name in ("a", "b", "c"):
            await here.create("services", service(name))
        await here.restart(service_cidr="127.66.0.0/29")
        for name in ("d", "e"):
            await here.create("services", service(name))

        ips = [(await here.get("services", name))["spec"]["clusterIP"] for name in "abcde"]
        assert sorted(ips) == [f"127.66.0.{last}" for last in range(2, 7)]
        with pytest.raises(InternalError, match="range is full"):
            await here.create("services", service("f"))
        await here.delete("services", "c")
        assert (await here.create("services", service("f")))["spec"]["clusterIP"] == ips[2]


def test_a_load_balancer_that_keeps_local_has_a_port_for_health_checks() -> None:
    local = service("a", "LoadBalancer", clusterIP="None", externalTrafficPolicy="Local")

    given = allocate(local, None, {}, SMALL, random.Random(1))
    anywhere = {**given.service, "spec": {**given.service["spec"], "externalTrafficPolicy": "Cluster"}}
    later = allocate(anywhere, given.service, {}, SMALL, random.Random(1))

    number = given.service["spec"]["healthCheckNodePort"]
    assert ("nodeport", str(number)) in held_by(given.service)
    assert number != given.service["spec"]["ports"][0]["nodePort"]
    assert "healthCheckNodePort" not in later.service["spec"]
    assert [key.decode().rpartition("/")[2] for key in later.releases] == [str(number)]


def test_a_port_for_health_checks_that_is_taken_is_refused() -> None:
    asked = service("a", "LoadBalancer", clusterIP="None", externalTrafficPolicy="Local", healthCheckNodePort=30001)

    with pytest.raises(NotAvailable, match="30001: provided port is already allocated"):
        allocate(asked, None, {"nodeport": {"30001": "x"}}, SMALL, random.Random(1))
