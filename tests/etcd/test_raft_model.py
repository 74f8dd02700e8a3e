"""Raft's properties in every state of three cores, within bounds, or as far as a number of states reaches."""

from __future__ import annotations

import pytest

from tests.etcd.raft_model import MODELS, explore

EXHAUSTED = {"an election", "two candidates", "a leader's write", "other members"}  # within their bounds


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_nothing_that_can_happen_in_a_few_steps_breaks_a_promise(name: str) -> None:
    found = explore(MODELS[name](), 600)

    assert found.whole or found.depth >= 3, found


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_nothing_that_can_happen_at_all_breaks_a_promise(name: str) -> None:
    found = explore(MODELS[name](), 16_000)

    assert found.whole == (name in EXHAUSTED), found
    assert found.depth >= 7, found
