"""Tokens of service accounts in projected volumes: asked for with the pod, renewed before they end."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.kubelet.env import Place
from actors.kubelet.tokens import Token, TokenWanted, token_of, token_request, tokens_wanted
from actors.kubelet.volumes import volume_files
from protocols.objects import Object

POD: Object = {
    "metadata": {"name": "web", "namespace": "shop", "uid": "u"},
    "spec": {"serviceAccountName": "robot", "containers": []},
}


def volume(*projections: dict[str, Any]) -> dict[str, Any]:
    return {"name": "v", "projected": {"sources": [{"serviceAccountToken": each} for each in projections]}}


def test_each_token_is_wanted_for_its_audience_and_time() -> None:
    volumes = [volume({"path": "a"}, {"path": "b", "audience": "vault", "expirationSeconds": 600}), {"name": "x"}]

    assert list(tokens_wanted(volumes)) == [TokenWanted("", 3600), TokenWanted("vault", 600)]


def test_it_is_asked_for_as_one_that_ends_with_the_pod() -> None:
    plain, vault = token_request(POD, TokenWanted("", 3600)), token_request(POD, TokenWanted("vault", 600))

    assert plain["metadata"] == {"name": "robot", "namespace": "shop"}
    assert plain["spec"] == {
        "expirationSeconds": 3600,
        "boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "web", "uid": "u"},
    }
    assert vault["spec"]["audiences"] == ["vault"]


def test_a_volume_shows_it_under_its_path() -> None:
    shown = volume({"path": "token"}, {"path": "vault/token", "audience": "vault"})
    contents = {TokenWanted("", 3600).source: {"token": b"x"}, TokenWanted("vault", 3600).source: {"token": b"y"}}

    files = volume_files(POD, shown, contents, Place("node-1", "10.0.0.1", "10.0.0.2", {}))

    assert files.files == {"token": b"x", "vault/token": b"y"}


@given(st.integers(600, 1_000_000), st.floats(0, 1_000_000))
def test_it_is_renewed_when_a_fifth_of_its_time_is_left_or_it_is_a_day_old(life_s: int, age_s: float) -> None:
    token = Token("x", 0.0, float(life_s))

    assert token.is_due(age_s) == (age_s >= 0.8 * life_s or age_s >= 86_400)


def test_its_end_is_what_the_server_says() -> None:
    answer = {"status": {"token": "x", "expirationTimestamp": "1970-01-01T01:00:00Z"}}

    assert token_of(answer, 60.0) == Token("x", 60.0, 3600.0)


@pytest.mark.parametrize("age_s", [0.0, 2879.0])
def test_a_young_one_is_kept(age_s: float) -> None:
    assert not Token("x", 0.0, 3600.0).is_due(age_s)
