"""An owner that is named twice is named once, and whoever did so is told: in the words of a kube-apiserver 1.36.2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.apiserver.rest_client import rest

PATH = "/api/v1/namespaces/default/configmaps"
U = {"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "u"}
W = {**U, "uid": "w"}
WARNING = (
    '299 - ".metadata.ownerReferences contains duplicate entries{when}; API server dedups owner references in 1.20+, '
    'and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {uids}"'
)


def owned(*owners: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "ownerReferences": list(owners)}}


@pytest.mark.parametrize(
    ("method", "sent", "kept", "uids"),
    [
        ("POST", [U, U, W, W, U], [U, W], "u, w, u"),
        ("PUT", [U, U, {**U, "controller": True}], [U, {**U, "controller": True}], "u"),
        ("PATCH", [W, W], [W], "w"),
        ("POST", [U, W], [U, W], ""),
    ],
)
async def test_an_owner_is_named_once(tmp_path: Path, method: str, sent: Any, kept: Any, uids: str) -> None:
    async with rest(tmp_path) as client:
        if method != "POST":
            await client.create(PATH, owned())
        path = PATH if method == "POST" else f"{PATH}/a"
        form = "application/merge-patch+json" if method == "PATCH" else "application/json"

        answer = await client.send(method, path, owned(*sent), content_type=form)
        stored = (await client.get(f"{PATH}/a")).json

    when = " after mutating admission happens" if method == "PATCH" else ""
    assert stored["metadata"]["ownerReferences"] == kept
    assert answer.headers.getall("Warning", []) == ([WARNING.format(when=when, uids=uids)] if uids else [])
