"""How whoever has a bootstrap token finds the cluster and believes it, as `kubeadm join` does."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from actorkube.kube.actor import ControllerActor
from actors.controllers import controllers
from tests.apiserver.rest_client import Rest, rest
from tests.controllers.test_bootstrap_tokens import token

PUBLIC = "/api/v1/namespaces/kube-public/configmaps"
INFO = f"{PUBLIC}/cluster-info"
SECRETS = "/api/v1/namespaces/kube-system/secrets"
WITHIN_S = 20.0


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Rest]:
    async with rest(tmp_path) as client:
        yield client


async def test_anybody_reads_where_the_cluster_is_and_nothing_else_of_it(api: Rest) -> None:
    read = await api.by("", "GET", INFO)

    kubeconfig = yaml.safe_load(read.json["data"]["kubeconfig"])
    (cluster,) = kubeconfig["clusters"]
    assert api.config.ca_file is not None
    assert base64.b64decode(cluster["cluster"]["certificate-authority-data"]) == api.config.ca_file.read_bytes()
    assert cluster["cluster"]["server"] == f"https://127.0.0.1:{api.config.address[1]}"
    others = [PUBLIC, f"{PUBLIC}/other", f"{PUBLIC}?watch=true", SECRETS]
    assert [(await api.by("", "GET", path)).code for path in others] == [403] * 4
    assert (await api.by("", "PATCH", INFO, {}, content_type="application/merge-patch+json")).code == 403


async def test_what_others_add_to_it_outlives_a_restart(api: Rest) -> None:
    patch = {"data": {"note": "ours", "kubeconfig": "stale"}}
    await api.send("PATCH", INFO, patch, content_type="application/merge-patch+json")

    await api.restart()

    data = (await api.get(INFO)).json["data"]
    assert data["note"] == "ours" and yaml.safe_load(data["kubeconfig"])["kind"] == "Config"


async def test_a_token_signs_it_and_an_expired_one_goes(api: Rest) -> None:
    """By the controllers of the cluster, with the rights that they have there."""
    values = controllers(("bootstrap-signer", "token-cleaner"))
    await api.world.actor("controller-manager", "controllers", ControllerActor(values, ("apiserver/api",)))
    secret = token("abcdef", "0123456789abcdef")

    await api.create(SECRETS, secret)
    await api.create(SECRETS, token("oldold", expiration="2001-01-01T00:00:00Z"))

    data: dict[str, str] = {}
    async with asyncio.timeout(WITHIN_S):
        while "jws-kubeconfig-abcdef" not in data:
            await asyncio.sleep(0.02)
            data = (await api.by("", "GET", INFO)).json["data"]
    head, middle, tail = data["jws-kubeconfig-abcdef"].split(".")
    content = base64.urlsafe_b64encode(data["kubeconfig"].encode()).rstrip(b"=")
    digest = hmac.digest(b"0123456789abcdef", head.encode() + b"." + content, hashlib.sha256)
    assert middle == "" and base64.urlsafe_b64decode(tail + "=") == digest
    assert "jws-kubeconfig-oldold" not in data
    async with asyncio.timeout(WITHIN_S):
        while (await api.get(f"{SECRETS}/bootstrap-token-oldold")).code != 404:
            await asyncio.sleep(0.02)
    assert (await api.get(f"{SECRETS}/bootstrap-token-abcdef")).code == 200
