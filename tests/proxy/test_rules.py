"""From Services and EndpointSlices to the forwarding table."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.proxy.rules import Endpoint, Forward, Frontend, Node, forwarding_table, service_of, service_rules
from actors.proxy.table import ForwardingTable, diff
from protocols.objects import Object, key_of
from tests.proxy.worlds import endpoints, make_endpoint, make_service, make_slice, services, slices

NODE = Node("node-1", ("127.0.0.1",))


def targets(service: Object, *found: Object) -> list[tuple[str, list[str]]]:
    """Frontend -> the IPs it leads to, as text."""
    rules = service_rules(service, [make_slice("web", *found)], NODE)
    return [(str(frontend), [endpoint.ip for endpoint in forward.endpoints]) for frontend, forward in rules.items()]


def test_every_address_of_a_service_leads_to_its_ready_endpoints() -> None:
    service = make_service("web", node_port=30080, ingress=["127.67.0.1"], externalIPs=["127.0.9.9"])
    ready = [make_endpoint("10.0.0.2"), make_endpoint("10.0.0.1", ready=True), make_endpoint("10.0.0.3", ready=False)]

    assert targets(service, *ready) == [
        ("127.66.0.10:8080/TCP", ["10.0.0.1", "10.0.0.2"]),
        ("127.0.9.9:8080/TCP", ["10.0.0.1", "10.0.0.2"]),
        ("127.67.0.1:8080/TCP", ["10.0.0.1", "10.0.0.2"]),
        ("127.0.0.1:30080/TCP", ["10.0.0.1", "10.0.0.2"]),
    ]


@pytest.mark.parametrize(
    "spec", [{"ip": "None"}, {"ip": ""}, {"type": "ExternalName"}], ids=["headless", "no address", "external"]
)
def test_a_service_without_an_address_has_no_rules(spec: dict[str, Any]) -> None:
    assert targets(make_service("web", **spec), make_endpoint("10.0.0.1")) == []


def test_nobody_listens_for_a_service_without_endpoints() -> None:
    assert targets(make_service("web"), make_endpoint("10.0.0.1", ready=False)) == []


def test_terminating_endpoints_serve_only_while_no_other_is_ready() -> None:
    leaving = make_endpoint("10.0.0.1", ready=False, serving=True, terminating=True)
    failing = make_endpoint("10.0.0.2", ready=False, serving=False, terminating=True)
    starting = make_endpoint("10.0.0.3", ready=False, serving=True)

    assert targets(make_service("web"), leaving, failing, starting) == [("127.66.0.10:8080/TCP", ["10.0.0.1"])]
    assert targets(make_service("web"), leaving, make_endpoint("10.0.0.4")) == [("127.66.0.10:8080/TCP", ["10.0.0.4"])]


def test_local_traffic_stays_on_its_node() -> None:
    here, there = make_endpoint("10.0.0.1", "node-1"), make_endpoint("10.0.0.2", "node-2")
    outside = make_service("web", node_port=30080, externalTrafficPolicy="Local")
    inside = make_service("web", node_port=30080, internalTrafficPolicy="Local")

    assert targets(outside, here, there) == [
        ("127.66.0.10:8080/TCP", ["10.0.0.1", "10.0.0.2"]),
        ("127.0.0.1:30080/TCP", ["10.0.0.1"]),
    ]
    assert targets(inside, here, there)[0] == ("127.66.0.10:8080/TCP", ["10.0.0.1"])
    assert targets(outside, there) == [("127.66.0.10:8080/TCP", ["10.0.0.2"])]


def test_ports_meet_by_name_and_protocol() -> None:
    ports = [{"name": "http", "port": 80}, {"name": "dns", "port": 53, "protocol": "UDP"}]
    service = make_service("web", ports=ports)
    found = make_slice("web", make_endpoint("10.0.0.1"))
    found["ports"] = [{"name": "http", "port": 9000}, {"name": "dns", "port": 9053, "protocol": "UDP"}, {"name": "x"}]

    assert {str(f): forward.endpoints for f, forward in service_rules(service, [found], NODE).items()} == {
        "127.66.0.10:80/TCP": (Endpoint("10.0.0.1", 9000),),
        "127.66.0.10:53/UDP": (Endpoint("10.0.0.1", 9053),),
    }


def test_an_endpoint_in_two_slices_counts_once() -> None:
    found = [make_slice("web", make_endpoint("10.0.0.1"), name=name) for name in ("s1", "s2")]

    (forward,) = service_rules(make_service("web"), found, NODE).values()

    assert forward.endpoints == (Endpoint("10.0.0.1", 9000),)


@pytest.mark.parametrize(
    ("spec", "affinity_s"),
    [
        ({}, 0),
        ({"sessionAffinity": "ClientIP"}, 10800),
        ({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 5}}}, 5),
        ({"sessionAffinity": "None", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 5}}}, 0),
    ],
)
def test_says_how_long_a_client_stays_with_its_endpoint(spec: dict[str, Any], affinity_s: int) -> None:
    rules = service_rules(make_service("web", **spec), [make_slice("web", make_endpoint("10.0.0.1"))], NODE)

    assert rules[Frontend("127.66.0.10", 8080, "TCP")].affinity_s == affinity_s


def test_the_first_service_has_an_address_that_two_claim() -> None:
    both = [make_service("b"), make_service("a")]
    found = [make_slice("a", make_endpoint("10.0.0.1")), make_slice("b", make_endpoint("10.0.0.2"))]

    (forward,) = forwarding_table(both, found, NODE).values()

    assert forward == Forward("default/a", "", (Endpoint("10.0.0.1", 9000),))


@given(endpoints, endpoints)
def test_no_endpoint_serves_that_is_neither_ready_nor_serving(one: Object, other: Object) -> None:
    chosen = [ip for _, ips in targets(make_service("web"), one, other) for ip in ips]

    for endpoint in (one, other):
        conditions = endpoint["conditions"]
        usable = conditions["ready"] is not False or (conditions["terminating"] and conditions["serving"])
        assert usable or endpoint["addresses"][0] not in chosen or one["addresses"] == other["addresses"]


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(services, slices), max_size=12))
def test_kept_one_service_at_a_time_the_table_is_what_computing_it_anew_gives(steps: list[Object]) -> None:
    """And the changes, applied one after another, turn the empty table into it."""
    known: dict[str, Object] = {}
    found: dict[str, Object] = {}
    table, applied = ForwardingTable(), dict[Frontend, Forward]()
    for step in steps:
        touched = {key_of(step)} if "spec" in step else {service_of(step), service_of(found.get(key_of(step), step))}
        (known if "spec" in step else found)[key_of(step)] = step
        for key in sorted(touched):
            mine = [endpoint_slice for endpoint_slice in found.values() if service_of(endpoint_slice) == key]
            rules = service_rules(known[key], mine, NODE) if key in known else {}
            changes = table.set_service(key, rules)
            for frontend in changes.close:
                del applied[frontend]
            applied.update(changes.open)
            applied.update(changes.change)
    assert table.forwards == forwarding_table(known.values(), found.values(), NODE) == applied


def test_a_difference_says_what_to_close_open_and_change() -> None:
    f, g, h = (Frontend("127.66.0.1", port, "TCP") for port in (1, 2, 3))
    x, y = (Forward("s", "", (Endpoint(ip, 1),)) for ip in ("10.0.0.1", "10.0.0.2"))

    changes = diff({f: x, g: x}, {g: y, h: y})

    assert changes == ((f,), ((h, y),), ((g, y),))
    assert not diff({f: x}, {f: x})


def test_an_address_that_two_claim_is_the_firsts_whoever_came_first() -> None:
    table, frontend = ForwardingTable(), Frontend("127.66.0.1", 1, "TCP")
    of_a, of_b = (Forward(f"default/{name}", "", (Endpoint("10.0.0.1", 1),)) for name in "ab")

    table.set_service("default/b", {frontend: of_b})
    taken_over = table.set_service("default/a", {frontend: of_a})
    unnoticed = table.set_service("default/b", {})

    assert taken_over.change == ((frontend, of_a),)
    assert not unnoticed
    assert table.forwards == {frontend: of_a}
