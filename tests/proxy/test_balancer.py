"""Which endpoint the next connection goes to."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from actors.proxy.balancer import CLIENTS_MAX, Balancer
from actors.proxy.rules import Endpoint, Forward

A, B, C = (Endpoint(f"10.0.0.{number}", 80) for number in (1, 2, 3))


def balancer(*endpoints: Endpoint, affinity_s: int = 0) -> Balancer:
    return Balancer(Forward("default/web", "", endpoints, affinity_s))


def serve(behind: Balancer, client: str, now: float = 0.0) -> Endpoint:
    endpoint = behind.candidates(client, now)[0]
    behind.served(client, endpoint, now)
    return endpoint


def test_takes_the_endpoints_in_turn_and_offers_the_others_as_well() -> None:
    behind = balancer(A, B, C)

    assert [behind.candidates("x", 0.0) for _ in range(4)] == [[A, B, C], [B, C, A], [C, A, B], [A, B, C]]


@given(st.integers(1, 7), st.integers(0, 60))
def test_each_endpoint_gets_its_share(endpoints: int, connections: int) -> None:
    behind = balancer(*(Endpoint(f"10.0.0.{number}", 80) for number in range(endpoints)))

    counts = Counter(serve(behind, "x") for _ in range(connections))

    assert sum(counts.values()) == connections
    assert max(counts.values(), default=0) - min([counts[e] for e in behind.forward.endpoints]) <= 1


def test_nobody_serves_without_endpoints() -> None:
    assert balancer().candidates("x", 0.0) == []


def test_a_client_stays_with_its_endpoint_while_it_comes_back_in_time() -> None:
    behind = balancer(A, B, affinity_s=10)
    first = behind.candidates("x", 0.0)[0]
    other = B if first == A else A
    behind.served("x", other, 0.0)  # the first choice did not answer

    assert [serve(behind, "x", now) for now in (9.0, 18.0, 27.0)] == [other] * 3
    assert serve(behind, "x", 37.0) == first  # too late


@given(st.sets(st.integers(0, 9), min_size=1), st.integers(0, 50))
def test_proxies_that_share_an_address_choose_alike_for_a_client(numbers: set[int], client: int) -> None:
    endpoints = [Endpoint(f"10.0.0.{number}", 80) for number in sorted(numbers)]
    one, other = balancer(*endpoints, affinity_s=10), balancer(*endpoints, affinity_s=10)
    for number in range(client):
        serve(one, f"10.9.0.{number}")

    assert one.candidates(f"10.9.1.{client}", 0.0) == other.candidates(f"10.9.1.{client}", 0.0)


def test_clients_are_spread_over_the_endpoints() -> None:
    behind = balancer(A, B, C, affinity_s=10)

    counts = Counter(serve(behind, f"10.9.0.{number}") for number in range(300))

    assert min(counts[endpoint] for endpoint in (A, B, C)) > 60


def test_a_client_moves_when_its_endpoint_is_gone_or_does_not_answer() -> None:
    behind = balancer(A, B, affinity_s=10)
    behind.served("x", B, 1.0)
    assert behind.candidates("x", 2.0)[0] == B

    behind.forward = Forward("default/web", "", (A, C), 10)

    assert serve(behind, "x", 3.0) in (A, C)
    assert B not in behind.candidates("x", 4.0)


def test_without_affinity_no_client_is_remembered() -> None:
    behind = balancer(A, B)

    assert [serve(behind, "x") for _ in range(4)] == [A, B, A, B]


def test_forgets_who_came_longest_ago_when_there_are_too_many() -> None:
    behind = balancer(A, B, affinity_s=10)
    for number in range(CLIENTS_MAX + 1):
        behind.served(f"client-{number}", A, 0.0)

    assert len(behind._clients) == CLIENTS_MAX
    assert "client-0" not in behind._clients
