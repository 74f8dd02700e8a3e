"""Where a claim's volume is on a node, and why it cannot be had."""

from __future__ import annotations

from typing import Any

import pytest

from actors.kubelet.env import ConfigError
from actors.kubelet.persistent_volumes import Where, claim_of, volume_of, where
from protocols.objects import Object

POD: Object = {"metadata": {"name": "web", "namespace": "default", "uid": "p"}}
BOUND: Object = {
    "metadata": {"name": "data", "namespace": "default", "uid": "c"},
    "spec": {"volumeName": "pv"},
    "status": {"phase": "Bound"},
}
DIRECTORY = {"csi": {"driver": "directory.actorkube.dev", "volumeHandle": "one/pv"}}


def volume(uid: str = "c", **source: Any) -> Object:
    return {"metadata": {"name": "pv"}, "spec": {"claimRef": {"uid": uid}, **source}}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"hostPath": {"path": "/srv"}}, Where(path="/srv")),
        ({"local": {"path": "/mnt/disk"}}, Where(path="/mnt/disk")),
        (DIRECTORY, Where(volume_id="one/pv")),
    ],
)
def test_where_a_volume_is(source: dict[str, Any], expected: Where) -> None:
    assert volume_of(POD, BOUND, "data") == "pv"
    assert where(volume(**source), "pv", BOUND, "one") == expected


def test_a_volume_of_its_own_is_called_after_the_pod() -> None:
    assert claim_of(POD, {"name": "scratch", "ephemeral": {}}) == "web-scratch"
    assert claim_of(POD, {"name": "v", "persistentVolumeClaim": {"claimName": "data"}}) == "data"
    assert claim_of(POD, {"name": "v", "emptyDir": {}}) is None


@pytest.mark.parametrize(
    ("claim", "why"),
    [
        (None, 'failed to fetch PVC from API server: persistentvolumeclaims "data" not found'),
        ({**BOUND, "status": {"phase": "Pending"}}, 'PVC default/data has non-bound phase ("Pending")'),
        ({**BOUND, "metadata": {**BOUND["metadata"], "deletionTimestamp": "now"}}, "PVC is being deleted"),
    ],
)
def test_a_claim_that_cannot_be_used_is_refused_with_its_reason(claim: Object | None, why: str) -> None:
    with pytest.raises(ConfigError) as refused:
        volume_of(POD, claim, "data")

    assert str(refused.value).startswith(f"error processing PVC default/data: {why}")


def test_a_claim_that_is_called_like_the_pods_own_and_is_not_is_refused() -> None:
    pod = {**POD, "spec": {"volumes": [{"name": "scratch", "ephemeral": {}}]}}
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "web", "uid": "p", "controller": True}
    own = {**BOUND, "metadata": {**BOUND["metadata"], "ownerReferences": [owner]}}

    assert volume_of(pod, own, "web-scratch") == "pv"
    with pytest.raises(ConfigError, match=r"PVC default/web-scratch was not created for pod default/web \(pod is not"):
        volume_of(pod, BOUND, "web-scratch")


def test_a_pod_that_runs_keeps_its_claim_until_it_has_ended() -> None:
    running = {**POD, "status": {"containerStatuses": [{"containerID": "sim://1"}]}}
    ending = {**BOUND, "metadata": {**BOUND["metadata"], "deletionTimestamp": "now"}}

    assert volume_of(running, ending, "data") == "pv"


@pytest.mark.parametrize(
    ("found", "node", "why"),
    [
        (None, "one", 'persistentvolumes "pv" not found'),
        (volume("other", **DIRECTORY), "one", "PV pv does not point to the PVC"),
        (volume(**DIRECTORY), "two", "is a directory of node one, not of two"),
        (volume(csi={"driver": "ebs.csi.aws.com"}), "one", "no driver for ebs.csi.aws.com"),
        (volume(nfs={"server": "s"}), "one", "no driver for its kind"),
    ],
)
def test_a_volume_that_cannot_be_mounted_is_refused_with_its_reason(found: Object | None, node: str, why: str) -> None:
    with pytest.raises(ConfigError) as refused:
        where(found, "pv", BOUND, node)

    assert why in str(refused.value)
