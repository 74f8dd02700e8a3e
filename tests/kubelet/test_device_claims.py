"""A pod with claims of devices runs on its node when they have devices, for it."""

from __future__ import annotations

import pytest

from actors.kubelet.device_claims import NotPrepared, check
from protocols.objects import Object, uid_of
from protocols.rules.device_claims import CLAIMS, WantedClaim, claims_wanted, with_user
from tests.kubelet.node_world import NodeWorld, run

POD: Object = {"metadata": {"name": "web", "namespace": "default", "uid": "p"}}
RESULT = {"request": "gpu", "driver": "gpu.example.com", "pool": "a", "device": "gpu-0"}
CLAIM: Object = {
    "apiVersion": "resource.k8s.io/v1",
    "kind": "ResourceClaim",
    "metadata": {"name": "gpu", "namespace": "default", "uid": "c"},
    "spec": {"devices": {"requests": [{"name": "gpu", "exactly": {"deviceClassName": "gpu"}}]}},
    "status": {"allocation": {"devices": {"results": [RESULT]}}},
}
WANTED = WantedClaim("gpu", "default/gpu", own=False)


@pytest.mark.parametrize(
    ("wanted", "claim", "why"),
    [
        (WANTED._replace(key="", own=True), None, 'podclaim gpu: pod "default/web": ResourceClaim not created yet'),
        (
            WANTED,
            None,
            'fetch ResourceClaim gpu referenced by pod web: resourceclaims.resource.k8s.io "gpu" not found',
        ),
        (WANTED, CLAIM, "pod web (p) is not allowed to use resource claim gpu (c)"),
        (WANTED, {**with_user(CLAIM, POD), "status": {}}, "pod web (p) is not allowed to use resource claim gpu (c)"),
        (
            WANTED._replace(own=True),
            with_user(CLAIM, POD),
            "ResourceClaim default/gpu was not created for pod default/web (pod is not owner)",
        ),
    ],
)
def test_a_claim_that_cannot_be_used_says_why(wanted: WantedClaim, claim: Object | None, why: str) -> None:
    with pytest.raises(NotPrepared) as refused:
        check(POD, wanted, claim)

    assert str(refused.value) == f"prepare dynamic resources: {why}"


def test_one_that_has_devices_for_the_pod_can() -> None:
    check(POD, WANTED, with_user(CLAIM, POD))


def test_a_pod_waits_on_its_node_until_its_claim_has_devices_for_it() -> None:
    async def scenario(node: NodeWorld) -> None:
        made = await node.create(resourceClaims=[{"name": "gpu", "resourceClaimName": "gpu"}])
        assert [claim.key for claim in claims_wanted(made)] == ["default/gpu"]

        async def lamented() -> bool:
            return any(reason == "FailedPrepareDynamicResources" for reason, _ in await node.events())

        await node.world.until(lamented, 30)
        assert node.running() == []

        stored = await node.client.create(CLAIMS, CLAIM)
        await node.client.update_status(CLAIMS, with_user({**stored, "status": CLAIM["status"]}, made))
        found = await node.ready(within_s=120)
        assert uid_of(found) == uid_of(made)

    run(scenario)
