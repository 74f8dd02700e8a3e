"""Every pod runs as an account that is there, and its containers find the account's token where clients look for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from protocols.errors import Forbidden
from protocols.objects import Object
from tests.apiserver.world import World, pod, world

MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path, pod_tokens=True) as here:
        yield here


async def account(served: World, name: str = "default", **fields: Any) -> None:
    metadata = {"name": name, "namespace": "default"}
    await served.create(
        "serviceaccounts", {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata, **fields}
    )


def with_spec(name: str, **spec: Any) -> Object:
    made = pod(name)
    return {**made, "spec": {**made["spec"], **spec}}


async def test_each_container_mounts_the_token(served: World) -> None:
    await account(served)
    init = {"name": "init", "image": "busybox"}

    created = await served.create("pods", with_spec("web", initContainers=[init]))

    spec = created["spec"]
    (volume,) = spec["volumes"]
    assert volume["name"].startswith("kube-api-access-") and len(volume["name"]) == len("kube-api-access-") + 5
    assert volume["projected"] == {
        "defaultMode": 420,
        "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {
                "downwardAPI": {
                    "items": [
                        {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
                    ]
                }
            },
        ],
    }
    mount = {"name": volume["name"], "readOnly": True, "mountPath": MOUNT_PATH}
    assert [each["volumeMounts"] for each in (*spec["initContainers"], *spec["containers"])] == [[mount], [mount]]


@pytest.mark.parametrize(
    ("of_pod", "of_account", "mounted"),
    [
        (None, None, True),
        (None, False, False),
        (None, True, True),
        (False, None, False),
        (False, True, False),
        (True, False, True),
    ],
)
async def test_the_pod_says_whether_it_wants_it_and_else_the_account(
    served: World, of_pod: bool | None, of_account: bool | None, mounted: bool
) -> None:
    await account(served, **({} if of_account is None else {"automountServiceAccountToken": of_account}))
    spec = {} if of_pod is None else {"automountServiceAccountToken": of_pod}

    created = await served.create("pods", with_spec("web", **spec))

    assert bool(created["spec"].get("volumes")) == mounted


async def test_what_is_mounted_there_already_stays(served: World) -> None:
    await account(served)
    own = with_spec("web", volumes=[{"name": "own", "emptyDir": {}}])
    own["spec"]["containers"][0]["volumeMounts"] = [{"name": "own", "mountPath": MOUNT_PATH}]

    created = await served.create("pods", own)

    assert [volume["name"] for volume in created["spec"]["volumes"]] == ["own"]
    assert len(created["spec"]["containers"][0]["volumeMounts"]) == 1


async def test_pods_of_one_set_are_alike(served: World) -> None:
    await account(served)
    template = {**pod("x"), "metadata": {"generateName": "web-7d4b9c-", "namespace": "default"}}

    one, other = await served.create("pods", template), await served.create("pods", template)

    assert one["metadata"]["name"] != other["metadata"]["name"]
    assert one["spec"] == other["spec"]


async def test_the_secrets_for_registries_come_from_the_account(served: World) -> None:
    await account(served, imagePullSecrets=[{"name": "registry"}])

    plain = await served.create("pods", pod("plain"))
    own = await served.create("pods", with_spec("own", imagePullSecrets=[{"name": "mine"}]))

    assert plain["spec"]["imagePullSecrets"] == [{"name": "registry"}]
    assert own["spec"]["imagePullSecrets"] == [{"name": "mine"}]


async def test_an_account_that_is_not_there_is_named(served: World) -> None:
    with pytest.raises(Forbidden) as refused:
        await served.create("pods", with_spec("web", serviceAccountName="robot"))

    assert refused.value.message == (
        'pods "web" is forbidden: error looking up service account default/robot: serviceaccount "robot" not found'
    )


async def test_a_pod_of_a_new_namespace_waits_for_the_account(served: World) -> None:
    creating = asyncio.ensure_future(served.create("pods", pod("web")))
    await served.names("pods")
    assert not creating.done()

    await account(served)

    assert (await creating)["spec"]["serviceAccountName"] == "default"


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"serviceAccountName": "default"}, "a mirror pod may not reference service accounts"),
        (
            {"volumes": [{"name": "s", "secret": {"secretName": "s"}}]},
            "a mirror pod may not reference secrets",
        ),
        (
            {"volumes": [{"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}]},
            "a mirror pod may not use ServiceAccountToken volume projections",
        ),
    ],
)
async def test_a_mirror_pod_has_no_account(served: World, spec: Object, why: str) -> None:
    mirror = with_spec("web", **spec)
    mirror["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x"}

    with pytest.raises(Forbidden) as refused:
        await served.create("pods", mirror)

    assert refused.value.message == f'pods "web" is forbidden: {why}'


async def test_pods_of_one_template_stay_alike(served: World) -> None:
    """Else each would be looked at as if there had been none like it."""
    await account(served)

    one, other = [(await served.create("pods", with_spec(name)))["spec"] for name in ("one", "other")]

    assert one["volumes"] and one == other
