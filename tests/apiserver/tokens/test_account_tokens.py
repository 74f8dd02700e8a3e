"""Tokens of service accounts: what they say, what ends them, and that nobody else's are taken."""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.apiserver.tls import Authority
from actors.apiserver.tokens.claims import NotValid, caller_of, claims_of
from actors.apiserver.tokens.discovery import ISSUER
from actors.apiserver.tokens.issuer import Issuer
from protocols.objects import Object
from tests.apiserver.rest_client import NOW, Rest, rest
from tests.apiserver.world import pod

ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"
PODS = "/api/v1/namespaces/default/pods"
SECRETS = "/api/v1/namespaces/default/secrets"
REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
WHOAMI = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Rest]:
    async with rest(tmp_path) as client:
        await client.create(ACCOUNTS, {"metadata": {"name": "robot"}})
        yield client


async def token(api: Rest, **spec: Any) -> str:
    answer = await api.create(f"{ACCOUNTS}/robot/token", {"spec": spec})
    text: str = answer["status"]["token"]
    return text


async def whoami(api: Rest, token: str) -> Any:
    answer = await api.by(token, "POST", WHOAMI, {})
    return answer.json["status"]["userInfo"] if answer.code == 201 else answer.code


async def test_a_token_says_who_and_for_how_long(api: Rest) -> None:
    answer = await api.create(f"{ACCOUNTS}/robot/token", {"spec": {"expirationSeconds": 1200}})
    account = (await api.get(f"{ACCOUNTS}/robot")).json
    claims = jwt.decode(answer["status"]["token"], options={"verify_signature": False})

    assert (answer["kind"], answer["metadata"]["name"]) == ("TokenRequest", "robot")
    assert answer["spec"] == {"audiences": [ISSUER], "boundObjectRef": None, "expirationSeconds": 1200}
    assert claims["sub"] == "system:serviceaccount:default:robot"
    assert claims["kubernetes.io"] == {
        "namespace": "default",
        "serviceaccount": {"name": "robot", "uid": account["metadata"]["uid"]},
    }
    assert (claims["exp"] - claims["iat"], claims["nbf"], claims["iss"]) == (1200, claims["iat"], ISSUER)
    assert abs(claims["iat"] - time.time()) < 600


async def test_its_bearer_is_the_account(api: Rest) -> None:
    user = await whoami(api, await token(api))

    assert user["username"] == "system:serviceaccount:default:robot"
    assert user["groups"] == ["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"]
    assert user["uid"] == (await api.get(f"{ACCOUNTS}/robot")).json["metadata"]["uid"]
    assert user["extra"]["authentication.kubernetes.io/credential-id"][0].startswith("JTI=")


async def test_it_ends_with_what_it_is_bound_to(api: Rest) -> None:
    await api.create(PODS, {**pod("p"), "spec": {**pod("p")["spec"], "serviceAccountName": "robot"}})
    await api.create(SECRETS, {"metadata": {"name": "s"}})
    of_pod = await token(api, boundObjectRef={"kind": "Pod", "apiVersion": "v1", "name": "p"})
    of_secret = await token(api, boundObjectRef={"kind": "Secret", "apiVersion": "v1", "name": "s"})
    free = await token(api)

    before = [(await whoami(api, each))["username"] for each in (of_pod, of_secret, free)]
    extra = (await whoami(api, of_pod))["extra"]
    await api.send("DELETE", f"{PODS}/p?gracePeriodSeconds=0")
    await api.send("DELETE", f"{SECRETS}/s")
    await api.create(SECRETS, {"metadata": {"name": "s"}})
    after = [await whoami(api, each) for each in (of_pod, of_secret)]
    still = (await whoami(api, free))["username"]
    await api.send("DELETE", f"{ACCOUNTS}/robot")
    await api.create(ACCOUNTS, {"metadata": {"name": "robot"}})

    assert set(before) == {"system:serviceaccount:default:robot"}
    assert extra["authentication.kubernetes.io/pod-name"] == ["p"]
    assert (after, still) == ([401, 401], "system:serviceaccount:default:robot")
    assert await whoami(api, free) == 401


async def test_it_survives_a_restart_of_the_server(api: Rest) -> None:
    kept = await token(api)
    await api.restart()

    assert (await whoami(api, kept))["username"] == "system:serviceaccount:default:robot"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spec", "code", "complaint"),
    [
        ({"expirationSeconds": 60}, 422, "spec.expirationSeconds: Invalid value: 60: may not specify a duration less"),
        ({"expirationSeconds": 1 << 33}, 422, "larger than 2^32 seconds"),
        ({"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "none"}}, 404, 'pods "none" not found'),
        ({"boundObjectRef": {"kind": "Node", "apiVersion": "v1", "name": "none"}}, 404, 'nodes "none" not found'),
        (
            {"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "other"}},
            400,
            "different serviceaccount name",
        ),
        (
            {"boundObjectRef": {"kind": "Job", "apiVersion": "batch/v1", "name": "x"}},
            400,
            "cannot bind token to object",
        ),
        ({"boundObjectRef": {"kind": "Secret", "name": "s", "uid": "x"}}, 409, "does not match the UID in record"),
    ],
)
async def test_bad_requests_for_tokens_are_refused(api: Rest, spec: Object, code: int, complaint: str) -> None:
    await api.create(PODS, pod("other"))
    await api.create(SECRETS, {"metadata": {"name": "s"}})

    refused = await api.send("POST", f"{ACCOUNTS}/robot/token", {"spec": spec})

    assert (refused.code, complaint in refused.json["message"]) == (code, True), refused.json["message"]


async def test_nobody_makes_tokens_for_an_account_that_is_not_there(api: Rest) -> None:
    refused = await api.send("POST", f"{ACCOUNTS}/none/token", {"spec": {}})
    forbidden = await api.by("jane", "POST", f"{ACCOUNTS}/robot/token", {"spec": {}})

    assert (refused.code, forbidden.code) == (404, 403)


async def test_token_reviews_know_them_by_audience(api: Rest) -> None:
    async def review(text: str, *audiences: str) -> Object:
        spec = {"token": text} | ({"audiences": list(audiences)} if audiences else {})
        status: Object = (await api.create(REVIEWS, {"spec": spec}))["status"]
        return status

    own, vault = await token(api), await token(api, audiences=["vault", "other"])
    found, for_vault = await review(own), await review(vault, "vault", "nobody")
    wrong = [await review(vault), await review(own, "vault"), await review("x.y.z"), await review("good", "vault")]
    configured = await review("good")

    assert found["authenticated"] and found["audiences"] == [ISSUER]
    assert found["user"]["username"] == for_vault["user"]["username"] == "system:serviceaccount:default:robot"
    assert for_vault["audiences"] == ["vault"]
    assert configured["user"]["username"] == "robot"
    assert all(not each.get("authenticated") and each["error"] for each in wrong)
    assert await whoami(api, vault) == 401


@pytest.mark.slow
async def test_others_can_check_them(api: Rest, tmp_path: Path) -> None:
    text = await token(api, audiences=["vault"])
    found = (await api.get("/.well-known/openid-configuration")).json
    keys = (await api.get("/openid/v1/jwks")).json
    by_account = await api.by(await token(api), "GET", "/openid/v1/jwks")
    by_nobody = await api.by("", "GET", "/openid/v1/jwks")
    key = jwt.PyJWKSet.from_dict(keys)[jwt.get_unverified_header(text)["kid"]]

    claims = jwt.decode(text, key, ["ES256"], audience="vault", issuer=found["issuer"])

    assert claims["sub"] == "system:serviceaccount:default:robot"
    assert found["jwks_uri"].endswith("/openid/v1/jwks")
    assert (by_account.code, by_nobody.code) == (200, 403)


async def test_a_token_of_another_key_is_nobodys(api: Rest, tmp_path: Path) -> None:
    text = await token(api)
    stranger = Issuer(Authority(tmp_path / "elsewhere", NOW).account_key())
    claims = jwt.decode(text, options={"verify_signature": False})
    header, body, signature = text.split(".")
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
    forged = [
        stranger.sign(claims),
        jwt.encode(claims, "secret" * 8, "HS256"),
        f"{unsigned}.{body}.",
        f"{header}.{body}.{signature[:-4]}AAAA",
        text + "x" * 4000,
    ]

    assert [await whoami(api, each) for each in forged] == [401] * len(forged)


# -- claims against what is stored ------------------------------------------------------------------------------------


def stored(name: str, uid: str, namespace: str = "default", **metadata: str) -> Object:
    return {"metadata": {"name": name, "uid": uid, "namespace": namespace, **metadata}}


account = stored("robot", "u1")
kinds = {"pod": "pods", "secret": "secrets", "node": "nodes"}


@given(
    st.sampled_from((None, *kinds)),
    st.sampled_from(("same", "gone", "other", "going", "deleted")),
    st.sampled_from(("same", "gone", "other")),
    st.floats(-1000, 5000),
    st.sampled_from(((ISSUER,), ("vault", ISSUER), ("vault",))),
)
def test_it_holds_in_its_time_for_its_audience_while_all_it_names_exists(
    kind: str | None, thing: str, owner: str, at: float, audiences: tuple[str, ...]
) -> None:
    now = 1_790_000_000.0
    bound = {kind: stored("x", "u2", "" if kind == "node" else "default")} if kind else {}
    claims = claims_of(account, bound, [ISSUER], 3600, now, "id")
    states: dict[str, Object | None] = {
        "same": stored("x", "u2"),
        "gone": None,
        "other": stored("x", "u3"),
        "going": stored("x", "u2", deletionTimestamp="2999-01-01T00:00:00Z"),
        "deleted": stored("x", "u2", deletionTimestamp="2001-01-01T00:00:00Z"),
    }
    accounts = {"same": account, "gone": None, "other": stored("robot", "u9")}

    def lookup(resource: str, key: str) -> Object | None:
        if resource == "serviceaccounts":
            return accounts[owner] if key == "default/robot" else None
        assert kind is not None and (resource, key) == (kinds[kind], "x" if kind == "node" else "default/x")
        return states[thing]

    try:
        caller, meant = caller_of(claims, audiences, now + at, lookup)
        holds = True
    except NotValid:
        holds = False

    lives = owner == "same" and (kind is None or thing in ("same", "going"))
    assert holds == (-60 <= at < 3600 and lives and ISSUER in audiences)
    if holds:
        assert (caller.user, meant) == ("system:serviceaccount:default:robot", [ISSUER])
