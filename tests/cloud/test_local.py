"""The local provider: zones, addresses, and a pool that is used up."""

from __future__ import annotations

from typing import Any

import pytest

from actors.cloud.local import LocalProvider, zone_of


@pytest.mark.parametrize(
    ("node", "zone"),
    [("node-1", "local-a"), ("node-2", "local-b"), ("node-3", "local-c"), ("node-4", "local-a"), ("n12x30", "local-c")],
)
def test_numbered_nodes_take_the_zones_in_turn(node: str, zone: str) -> None:
    assert zone_of(node) == zone


def test_a_node_without_a_number_always_has_the_same_zone() -> None:
    assert zone_of("worker") == zone_of("worker") in ("local-a", "local-b", "local-c")


def test_an_instance_has_the_addresses_that_the_kubelet_found_and_its_name() -> None:
    node = {"metadata": {"name": "node-1"}, "status": {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}]}}

    instance = LocalProvider().instance(node)

    assert instance.provider_id == "local://node-1"
    assert instance.addresses == (("InternalIP", "127.0.0.1"), ("Hostname", "node-1"))


def service(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "web", "namespace": "default"}, "spec": spec}


def test_gives_the_first_address_that_nobody_has() -> None:
    provider = LocalProvider("127.67.0.0/30")

    assert provider.load_balancer_ip(service(), set()) == "127.67.0.1"
    assert provider.load_balancer_ip(service(), {"127.67.0.1"}) == "127.67.0.2"
    assert provider.load_balancer_ip(service(), {"127.67.0.1", "127.67.0.2"}) is None


@pytest.mark.parametrize(
    ("wanted", "taken", "given"),
    [
        ("127.67.0.9", set(), "127.67.0.9"),
        ("127.67.0.9", {"127.67.0.9"}, None),
        ("10.0.0.1", set(), None),
        ("no address", set(), None),
    ],
)
def test_gives_the_address_that_is_asked_for_or_none(wanted: str, taken: set[str], given: str | None) -> None:
    assert LocalProvider().load_balancer_ip(service(loadBalancerIP=wanted), taken) == given
