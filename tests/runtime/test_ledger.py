"""The runtime's books: addresses, one live instance of a container, states that only go forward."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.runtime.addresses import Addresses
from actors.runtime.ledger import Ledger, Sandbox
from protocols.cri import ContainerConfig, ContainerMetadata, ContainerRefused, PodSandboxConfig, PodSandboxMetadata
from tests.effort import examples


def sandbox_config(uid: str, attempt: int = 0, **options: Any) -> PodSandboxConfig:
    return PodSandboxConfig(PodSandboxMetadata("web", uid, "default", attempt), **options)


def test_an_address_just_given_back_is_not_the_next_one_given_out() -> None:
    addresses = Addresses("127.65.1.0/29")
    taken = [addresses.take() for _ in range(3)]
    addresses.give_back(taken[0])

    assert (taken, addresses.take()) == (["127.65.1.2", "127.65.1.3", "127.65.1.4"], "127.65.1.5")


def test_addresses_run_out_with_a_reason_and_come_back() -> None:
    ledger = Ledger(Addresses("127.65.1.0/29"))
    sandboxes = [ledger.run_sandbox(sandbox_config(str(n)), 0)[0] for n in range(5)]

    with pytest.raises(ContainerRefused, match=r"all 5 pod addresses of 127\.65\.1\.0/29 are taken"):
        ledger.run_sandbox(sandbox_config("late"), 0)
    ledger.stop_sandbox(sandboxes[2])

    assert ledger.run_sandbox(sandbox_config("late"), 0)[0].ip == "127.65.1.4"


def test_a_pod_on_the_host_network_has_the_nodes_address() -> None:
    assert (
        Ledger(Addresses("127.65.1.0/24")).run_sandbox(sandbox_config("u", host_network=True), 0)[0].ip == "127.65.1.1"
    )


def test_without_a_pod_cidr_there_are_no_pods() -> None:
    with pytest.raises(ContainerRefused, match="no podCIDR yet"):
        Ledger().run_sandbox(sandbox_config("u"), 0)


@settings(max_examples=examples(60), deadline=None)
@given(data=st.data())
def test_no_sequence_of_calls_breaks_the_books(data: st.DataObject) -> None:
    ledger = Ledger(Addresses("127.65.1.0/28"))
    for now in range(data.draw(st.integers(0, 40))):
        sandboxes, containers = list(ledger.sandboxes.values()), list(ledger.containers.values())
        choices = [
            "run",
            *(["stop", "remove", "create"] * bool(sandboxes)),
            *(["start", "exit", "forget"] * bool(containers)),
        ]
        with contextlib.suppress(ContainerRefused):
            _do(ledger, data.draw(st.sampled_from(choices)), data, now)
        ledger.check()


def _do(ledger: Ledger, what: str, data: st.DataObject, now: int) -> None:
    def sandbox() -> Sandbox:
        return data.draw(st.sampled_from(list(ledger.sandboxes.values())))

    match what:
        case "run":
            ledger.run_sandbox(sandbox_config(data.draw(st.sampled_from("abcd")), data.draw(st.integers(0, 3))), now)
        case "stop":
            ledger.stop_sandbox(sandbox())
        case "remove":
            if not (chosen := sandbox()).containers:
                ledger.remove_sandbox(chosen)
        case "create":
            metadata = ContainerMetadata(data.draw(st.sampled_from("xy")), data.draw(st.integers(0, 3)))
            ledger.create(sandbox(), ContainerConfig(metadata, "label"), now)
        case _:
            container = data.draw(st.sampled_from(list(ledger.containers.values())))
            if what == "start" and container.state == "CONTAINER_CREATED":
                ledger.started(container, now)
            elif what == "exit" and container.state == "CONTAINER_RUNNING":
                ledger.exited(container, 0, 0, now)
            elif what == "forget":
                ledger.remove(container)
