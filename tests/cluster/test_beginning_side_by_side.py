"""What a fresh API server of ours has made is what a fresh kube-apiserver has made.

It runs where ACTORKUBE_KUBE_APISERVER names one, and is skipped elsewhere; what differs on purpose is in
docs/decisions/0102.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from protocols.objects import Object, key_of, name_of
from tests.cluster.real_kubernetes import needs_apiserver
from tests.cluster.two_servers import Side, TwoServers, differences, two_servers
from tests.etcd.real_etcd import needs_etcd

pytestmark = [pytest.mark.cluster, needs_apiserver, needs_etcd]

RBAC = "/apis/rbac.authorization.k8s.io/v1"
FLOW = "/apis/flowcontrol.apiserver.k8s.io/v1"
# Some distributions add roles and accounts of their own.
OTHERS = ("system:openshift", "system:controller:service-ca-cert-publisher")
OTHER_ACCOUNTS = ("leader-election-controller",)
_NETWORK = re.compile(r"\b127\.\d+\.")  # of Services
GATHERED = {"admin", "edit", "view"}  # their rules are a controller's, which the real one is without here
OURS_ALONE = {
    "clusterroles": {"system:cloud-controller-manager"},
    "clusterrolebindings": {"system:cloud-controller-manager"},
    "roles": {"kube-public/kubeadm:bootstrap-signer-clusterinfo"},
    "rolebindings": {"kube-public/kubeadm:bootstrap-signer-clusterinfo"},
    "apiservices": {"v1alpha2.scheduling.k8s.io"},
}
MORE_RULES = {
    # Names are served from slices, groups of pods are scheduled.
    "system:kube-dns": [
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]}
    ],
    "system:kube-scheduler": [
        {
            "apiGroups": ["scheduling.k8s.io"],
            "resources": ["podgroups", "workloads"],
            "verbs": ["get", "list", "watch"],
        },
        {"apiGroups": ["scheduling.k8s.io"], "resources": ["podgroups/status"], "verbs": ["patch", "update"]},
    ],
}
MANAGER = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "system:kube-controller-manager"}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoServers]:
    with two_servers(tmp_path_factory.mktemp("both")) as servers:
        yield servers


@pytest.mark.parametrize(
    "path",
    [
        f"{RBAC}/clusterroles",
        f"{RBAC}/clusterrolebindings",
        f"{RBAC}/roles",
        f"{RBAC}/rolebindings",
        f"{FLOW}/flowschemas",
        f"{FLOW}/prioritylevelconfigurations",
        "/apis/apiregistration.k8s.io/v1/apiservices",
        "/apis/scheduling.k8s.io/v1/priorityclasses",
        "/apis/networking.k8s.io/v1/servicecidrs",
        "/apis/networking.k8s.io/v1/ipaddresses",
        "/api/v1/namespaces",
    ],
)
def test_what_a_server_begins_with(both: TwoServers, path: str) -> None:
    plural = path.rpartition("/")[2]
    theirs, ours = (_found(side, path) for side in both)

    assert {key for key in theirs if not key.startswith(OTHERS)} == ours.keys() - OURS_ALONE.get(plural, set())
    for key in ours.keys() & theirs.keys():
        assert list(differences(theirs[key], _as_theirs(ours[key]))) == [], key


def _found(side: Side, path: str) -> dict[str, Object]:
    code, found, _ = side.raw("GET", path)
    assert code == 200
    found = json.loads(_NETWORK.sub("127.0.", json.dumps(found)))
    return {key_of(each).removeprefix("/"): _compared(each) for each in found["items"]}


def _compared(obj: Object) -> Object:
    """Without what no two servers have in common; nobody is said to own what ours has made."""
    kept = {name: obj["metadata"][name] for name in ("labels", "annotations") if name in obj["metadata"]}
    said: dict[str, Any] = {**obj, "metadata": kept | {"name": name_of(obj)}}
    if name_of(obj) in GATHERED and "aggregationRule" in obj:
        said.pop("rules")
    if "subjects" in obj:
        said["subjects"] = [each for each in obj["subjects"] if each["name"] not in OTHER_ACCOUNTS]
    for condition in (obj.get("status") or {}).get("conditions") or ():
        condition.pop("lastTransitionTime")
    return said


def _as_theirs(obj: Object) -> Object:
    """Our controllers are one actor, whose user has the roles of all of them."""
    if "rules" in obj:
        return {
            **obj,
            "rules": [rule for rule in obj["rules"] if rule not in MORE_RULES.get(name_of(obj), ())],
        }
    if "subjects" in obj and name_of(obj).startswith("system:controller:"):
        return {**obj, "subjects": [each for each in obj["subjects"] if each != MANAGER]}
    return obj
