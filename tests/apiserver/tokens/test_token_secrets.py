"""A Secret that asks for a token of an account is filled, its token is taken, and both end with the account."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from protocols.objects import Object
from tests.apiserver.rest_client import Rest, rest

ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"
SECRETS = "/api/v1/namespaces/default/secrets"
WHOAMI = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_TURNS_MAX = 2000


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Rest]:
    async with rest(tmp_path) as client:
        yield client


def asking(name: str, account: str = "robot", **annotations: str) -> Object:
    metadata = {"name": name, "annotations": {"kubernetes.io/service-account.name": account, **annotations}}
    return {"metadata": metadata, "type": "kubernetes.io/service-account-token"}


async def until(api: Rest, path: str, good: Callable[[Any], bool]) -> Any:
    """Asks again and again, a bounded number of times: what is waited for takes the server some turns."""
    for _ in range(_TURNS_MAX):
        answer = await api.get(path)
        if good(answer):
            return answer
        await asyncio.sleep(0)
    raise AssertionError(f"{path}: {answer}")


def is_filled(answer: Any) -> bool:
    return answer.code == 200 and bool((answer.json.get("data") or {}).get("token"))


async def test_it_is_filled_and_its_token_is_the_accounts(api: Rest) -> None:
    account = await api.create(ACCOUNTS, {"metadata": {"name": "robot"}})
    await api.create(SECRETS, asking("kept"))

    secret = (await until(api, f"{SECRETS}/kept", is_filled)).json

    data = {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
    assert secret["metadata"]["annotations"]["kubernetes.io/service-account.uid"] == account["metadata"]["uid"]
    assert data["namespace"] == "default" and data["ca.crt"].startswith("-----BEGIN CERTIFICATE-----")
    answer = await api.by(data["token"], "POST", WHOAMI, {})
    assert answer.json["status"]["userInfo"]["username"] == "system:serviceaccount:default:robot"


async def test_it_goes_with_its_account_and_the_token_is_no_good_any_more(api: Rest) -> None:
    await api.create(ACCOUNTS, {"metadata": {"name": "robot"}})
    await api.create(SECRETS, asking("kept"))
    await api.create(SECRETS, {"metadata": {"name": "another"}})
    token = base64.b64decode((await until(api, f"{SECRETS}/kept", is_filled)).json["data"]["token"]).decode()

    await api.send("DELETE", f"{ACCOUNTS}/robot")

    await until(api, f"{SECRETS}/kept", lambda answer: answer.code == 404)
    assert (await api.by(token, "POST", WHOAMI, {})).code == 401
    assert (await api.get(f"{SECRETS}/another")).code == 200


@pytest.mark.parametrize(
    "secret", [asking("kept", "nobody"), asking("kept", **{"kubernetes.io/service-account.uid": "of-another"})]
)
async def test_one_without_its_account_is_taken_away(api: Rest, secret: Object) -> None:
    await api.create(ACCOUNTS, {"metadata": {"name": "robot"}})
    await api.create(SECRETS, secret)

    await until(api, f"{SECRETS}/kept", lambda answer: answer.code == 404)


async def test_what_is_in_it_stays(api: Rest) -> None:
    await api.create(ACCOUNTS, {"metadata": {"name": "robot"}})
    own = {"token": base64.b64encode(b"mine").decode(), "extra": base64.b64encode(b"x").decode()}
    await api.create(SECRETS, {**asking("kept"), "data": own})

    secret = (await until(api, f"{SECRETS}/kept", lambda each: "ca.crt" in (each.json.get("data") or {}))).json

    assert own.items() <= secret["data"].items()
