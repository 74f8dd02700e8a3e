"""Who is to blame when replicas that should be equal are not."""

from __future__ import annotations

import pytest

from actors.etcd.checker import to_blame


@pytest.mark.parametrize(
    ("hashes", "blamed"),
    [
        ({"a": 1, "b": 1, "c": 1}, []),
        ({"a": 1, "b": 1, "c": 2}, ["c"]),
        ({"a": 2, "b": 1, "c": 1}, ["a"]),
        ({"a": 1, "b": 2, "c": 3}, ["b", "c"]),
        ({"a": 1, "b": 2}, ["b"]),
        ({"a": 1, "b": 2, "c": 2, "d": 1}, ["b", "c"]),
        ({"a": 1}, []),
    ],
)
def test_a_majority_is_right_and_without_one_the_leader(hashes: dict[str, int], blamed: list[str]) -> None:
    assert to_blame(hashes, leader="a") == blamed
