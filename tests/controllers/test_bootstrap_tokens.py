"""Bootstrap tokens: they sign what whoever joins reads first, and go when their time is over."""

from __future__ import annotations

import asyncio
import base64
import warnings
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.controllers import bootstrap_signer, token_cleaner
from protocols.objects import Object, name_of
from protocols.rules.times import time_of
from tests.controllers.virtual_time import run
from tests.controllers.world import EPOCH, World

CONTENT = "apiVersion: v1\nkind: Config\n"
INFO = {"metadata": {"name": "cluster-info", "namespace": "kube-public"}, "data": {"kubeconfig": CONTENT, "note": "a"}}


def token(id: str, part: str = "0123456789abcdef", namespace: str = "kube-system", **data: Any) -> Object:
    said = {"token-id": id, "token-secret": part, "usage-bootstrap-signing": "true", **data}
    encoded = {key.replace("_", "-"): base64.b64encode(text.encode()).decode() for key, text in said.items() if text}
    metadata = {"name": f"bootstrap-token-{id}", "namespace": namespace}
    return {"metadata": metadata, "type": "bootstrap.kubernetes.io/token", "data": encoded}


def verified(signature: str, content: str, part: str) -> dict[str, Any]:
    """Its header, if another library finds that it is right, its content put back. Raises jwt.InvalidTokenError."""
    head, middle, tail = signature.split(".")
    assert not middle
    full = f"{head}.{base64.urlsafe_b64encode(content.encode()).rstrip(b'=').decode()}.{tail}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", jwt.warnings.InsecureKeyLengthWarning)  # Kubernetes' secrets have 16 characters
        found = jwt.PyJWS().decode_complete(full, part, algorithms=["HS256"])
    header: dict[str, Any] = found["header"]
    return header


# -- signing ----------------------------------------------------------------------------------------------------------


@given(st.text(max_size=200), st.text("abcdef0123456789", min_size=16, max_size=16))
def test_a_signature_is_good_for_the_content_and_the_token_alone(content: str, part: str) -> None:
    signature = bootstrap_signer.signature(content, "abcdef", part)

    assert verified(signature, content, part) == {"alg": "HS256", "kid": "abcdef"}
    with pytest.raises(jwt.InvalidSignatureError):
        verified(signature, content + "x", part)
    with pytest.raises(jwt.InvalidSignatureError):
        verified(signature, content, part[::-1] + "x")


SIGNS = [
    (token("aaaaaa"), True),
    (token("aaaaaa", usage_bootstrap_signing="false"), False),
    (token("aaaaaa", **{"token-id": "bbbbbb"}), False),
    (token("aaaaaa", part=""), False),
    (token("aaaaaa", expiration=time_of(EPOCH)), False),
    (token("aaaaaa", expiration="soon"), False),
    (token("aaaaaa", expiration=time_of(EPOCH + 60)), True),
    (token("toolong"), False),
]


@pytest.mark.parametrize(("secret", "signs"), SIGNS)
def test_which_tokens_sign(secret: Object, signs: bool) -> None:
    assert list(bootstrap_signer.signatures(CONTENT, [secret], EPOCH)) == ["jws-kubeconfig-aaaaaa"] * signs


def test_the_signatures_follow_the_tokens_and_the_content() -> None:
    async def scenario() -> None:
        async with World(bootstrap_signer.controller()) as world:
            world.create("configmaps", INFO)
            world.create("secrets", token("aaaaaa"))
            world.create("secrets", token("dddddd", namespace="default"))
            await world.settled(10)
            assert signed(world) == {"aaaaaa"}

            world.create("secrets", token("bbbbbb", "fedcba9876543210"))
            world.delete("secrets", "bootstrap-token-aaaaaa", "kube-system")
            world.patch("configmaps", "cluster-info", {"data": {"kubeconfig": "other"}}, "kube-public")
            await world.settled(10)

            data = world.get("configmaps", "cluster-info", "kube-public")["data"]
            assert signed(world) == {"bbbbbb"} and data["note"] == "a"
            verified(data["jws-kubeconfig-bbbbbb"], "other", "fedcba9876543210")

    run(scenario())


def test_a_config_map_without_content_and_those_of_other_names_are_left_alone() -> None:
    async def scenario() -> None:
        async with World(bootstrap_signer.controller()) as world:
            world.create("secrets", token("aaaaaa"))
            others = [
                {"metadata": {"name": "cluster-info", "namespace": "kube-public"}, "data": {"other": "1"}},
                {"metadata": {"name": "cluster-info", "namespace": "default"}, "data": {"kubeconfig": "1"}},
            ]
            for each in others:
                world.create("configmaps", each)
            await world.settled(10)

            assert [each["data"] for each in world.list("configmaps")] == [{"kubeconfig": "1"}, {"other": "1"}]

    run(scenario())


def signed(world: World) -> set[str]:
    data = world.get("configmaps", "cluster-info", "kube-public")["data"]
    return {name.removeprefix("jws-kubeconfig-") for name in data if name.startswith("jws-kubeconfig-")}


# -- cleaning ---------------------------------------------------------------------------------------------------------


def test_tokens_go_when_their_time_is_over_and_nothing_else_does() -> None:
    async def scenario() -> None:
        async with World(token_cleaner.controller()) as world:
            world.create("secrets", token("aaaaaa", expiration=time_of(EPOCH + 600)))
            world.create("secrets", token("bbbbbb"))
            world.create("secrets", token("cccccc", expiration="soon"))
            world.create("secrets", token("dddddd", namespace="default", expiration=time_of(EPOCH - 1)))
            other = token("eeeeee", expiration=time_of(EPOCH - 1))
            world.create("secrets", {**other, "type": "Opaque"})
            await world.settled(10)
            assert left(world) == {"aaaaaa", "bbbbbb", "dddddd", "eeeeee"}

            await asyncio.sleep(600)
            await world.settled(10)
            assert left(world) == {"bbbbbb", "dddddd", "eeeeee"}

    run(scenario())


def left(world: World) -> set[str]:
    return {name_of(secret).removeprefix("bootstrap-token-") for secret in world.list("secrets")}
