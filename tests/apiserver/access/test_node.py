"""What a kubelet may do: read what its pods need, change itself and its pods' status. The graph against a model."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.apiserver.access.attributes import Attributes, Decision
from actors.apiserver.access.authorizer import Authorizer
from actors.apiserver.access.node_graph import NodeGraph
from actors.apiserver.access.policy import default_policy
from actors.apiserver.access.references import Thing, references
from actors.apiserver.cache import Cache
from actors.apiserver.callers import AUTHENTICATED, NODES, Caller
from actors.apiserver.keys import store_key
from actors.apiserver.tls import Authority
from actors.apiserver.values import value_of
from protocols import api as door
from protocols import etcd
from protocols.errors import Forbidden
from protocols.objects import Object, encode_object
from tests.apiserver.rest_client import NOW, client_context, rest
from tests.apiserver.test_callers import outcome
from tests.apiserver.world import World, pod, world

NODE = Caller("system:node:n1", (NODES, AUTHENTICATED))
NOBODY = "no relationship found between node 'n1' and this object"


class Stored:
    """A watch cache that is told what to hold."""

    def __init__(self) -> None:
        self.cache = Cache()
        self.cache.load([], 1)

    def put(self, resource: str, obj: Object) -> None:
        metadata = obj["metadata"]
        key = "/".join(part for part in (metadata.get("namespace"), metadata["name"]) if part)
        self._apply("put", resource, key, value_of(encode_object(obj), b"m" * 8))

    def delete(self, resource: str, key: str) -> None:
        self._apply("delete", resource, key, b"")

    def _apply(self, type: Any, resource: str, key: str, value: bytes) -> None:
        revision = self.cache.revision + 1
        kv = etcd.KeyValue(store_key(resource, key), value, revision, revision, 1)
        self.cache.apply([etcd.Event(type, kv)], revision)


def on_node(name: str, node: str, **spec: Any) -> Object:
    return {"metadata": {"namespace": "shop", "name": name}, "spec": {"nodeName": node, **spec}}


@pytest.fixture
def stored() -> Stored:
    """On n1 a pod that refers to one thing of each kind, and one on n2."""
    stored = Stored()
    volumes = [
        {"name": "s", "secret": {"secretName": "of-volume"}},
        {"name": "c", "configMap": {"name": "of-volume"}},
        {"name": "p", "persistentVolumeClaim": {"claimName": "data"}},
        {"name": "e", "ephemeral": {}},
        {"name": "x", "csi": {"driver": "d", "nodePublishSecretRef": {"name": "of-csi"}}},
        {
            "name": "j",
            "projected": {"sources": [{"secret": {"name": "projected"}}, {"configMap": {"name": "projected"}}]},
        },
    ]
    env = [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "of-variable", "key": "a"}}}]
    containers = [{"name": "main", "env": env, "envFrom": [{"configMapRef": {"name": "of-env"}}]}]
    pulled = [{"name": "registry"}]
    spec = {"volumes": volumes, "containers": containers, "imagePullSecrets": pulled, "serviceAccountName": "robot"}
    stored.put("pods", on_node("web", "n1", **spec))
    stored.put("pods", on_node("other", "n2", serviceAccountName="other"))
    stored.put(
        "persistentvolumeclaims", {"metadata": {"namespace": "shop", "name": "data"}, "spec": {"volumeName": "pv-1"}}
    )
    claim = {"namespace": "shop", "name": "data"}
    csi = {"driver": "d", "nodeStageSecretRef": {"name": "of-disk", "namespace": "storage"}}
    stored.put("persistentvolumes", {"metadata": {"name": "pv-1"}, "spec": {"claimRef": claim, "csi": csi}})
    stored.put("persistentvolumes", {"metadata": {"name": "pv-2"}, "spec": {"claimRef": claim}})
    for node in ("n1", "n2"):
        attachment = {"metadata": {"name": f"of-{node}"}, "spec": {"nodeName": node}}
        stored.put("volumeattachments.storage.k8s.io", attachment)
    return stored


def read(resource: str, name: str, namespace: str = "shop", verb: str = "get", subresource: str = "") -> Attributes:
    plural, _, group = resource.partition(".")
    return Attributes(verb, group, plural, subresource, namespace, name)


@pytest.mark.parametrize(
    "asked",
    [
        *(read("secrets", name) for name in ("of-volume", "of-variable", "projected", "registry", "of-csi")),
        read("secrets", "of-volume", verb="watch"),
        read("secrets", "of-disk", "storage"),
        *(read("configmaps", name) for name in ("of-volume", "of-env", "projected")),
        read("persistentvolumeclaims", "data"),
        read("persistentvolumeclaims", "web-e"),
        read("persistentvolumeclaims", "data", verb="patch", subresource="status"),
        read("persistentvolumes", "pv-1", ""),
        read("volumeattachments.storage.k8s.io", "of-n1", ""),
        read("serviceaccounts", "robot", verb="create", subresource="token"),
        read("pods", "web"),
        read("pods", "web", verb="list"),
        Attributes("watch", "", "pods", fields="spec.nodeName=n1"),
        read("pods", "any", verb="patch", subresource="status"),
        read("pods", "any", verb="create", subresource="eviction"),
        read("nodes", "n1", ""),
        read("nodes", "n1", "", "patch", "status"),
        read("leases.coordination.k8s.io", "n1", "kube-node-lease", "update"),
        read("csinodes.storage.k8s.io", "n1", ""),
        read("events", "", verb="create"),
        read("services", "", "", "list"),
        Attributes("create", "authentication.k8s.io", "tokenreviews"),
    ],
)
def test_a_node_may_what_its_pods_need(stored: Stored, asked: Attributes) -> None:
    assert Authorizer(stored.cache, default_policy()).decide(NODE, asked) == Decision(True)


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (read("secrets", "of-another"), NOBODY),
        (read("secrets", "of-volume", "elsewhere"), NOBODY),
        (read("secrets", "", verb="list"), "No Object name found"),
        (read("secrets", "", "", "list"), "can only read namespaced object of this type"),
        (read("secrets", "of-volume", verb="update"), "can only read resources of this type"),
        (read("configmaps", "of-volume", subresource="x"), "cannot read subresource"),
        (read("persistentvolumes", "pv-2", ""), NOBODY),
        (read("persistentvolumeclaims", "data", verb="list"), "can only get individual resources of this type"),
        (read("persistentvolumeclaims", "x", verb="patch", subresource="status"), NOBODY),
        (read("volumeattachments.storage.k8s.io", "of-n2", ""), NOBODY),
        (read("serviceaccounts", "other", verb="create", subresource="token"), NOBODY),
        (read("serviceaccounts", "other"), NOBODY),
        (read("serviceaccounts", "robot", verb="delete"), "can only create tokens for individual service accounts"),
        (
            read("serviceaccounts", "robot", verb="create"),
            "can only create token subresource of serviceaccount",
        ),
        (read("pods", "other"), NOBODY),
        (read("pods", "", "", "list"), "can only list/watch pods with spec.nodeName field selector"),
        (
            Attributes("list", "", "pods", fields="spec.nodeName=n2"),
            "can only list/watch pods with spec.nodeName field selector",
        ),
        (
            Attributes("list", "", "pods", fields="spec.nodeName!=n1"),
            "can only list/watch pods with spec.nodeName field selector",
        ),
        (read("pods", "web", verb="update"), ""),
        (read("pods", "web", verb="create", subresource="binding"), ""),
        (read("nodes", "n2", ""), "node 'n1' cannot read 'n2', only its own Node object"),
        (read("nodes", "", "", "list"), "node 'n1' cannot read all nodes, only its own Node object"),
        (read("nodes", "n1", "", "delete"), ""),
        (
            read("leases.coordination.k8s.io", "n2", "kube-node-lease"),
            "can only access node lease with the same name as the requesting node",
        ),
        (
            read("leases.coordination.k8s.io", "n1", "default"),
            'can only access leases in the "kube-node-lease" system namespace',
        ),
        (read("deployments.apps", "web"), ""),
        (Attributes("get", path="/metrics"), ""),
    ],
)
def test_it_is_told_why_it_may_not(stored: Stored, asked: Attributes, why: str) -> None:
    assert Authorizer(stored.cache, default_policy()).decide(NODE, asked) == Decision(False, why)


@pytest.mark.parametrize("caller", [Caller("system:node:n1", (AUTHENTICATED,)), Caller("n1", (NODES, AUTHENTICATED))])
def test_only_who_has_the_name_and_the_group_is_a_node(stored: Stored, caller: Caller) -> None:
    assert not Authorizer(stored.cache, default_policy()).decide(caller, read("secrets", "of-volume")).allowed


def test_a_role_gives_a_node_more(stored: Stored) -> None:
    grown = Authorizer(
        stored.cache,
        [
            *default_policy(),
            (
                "clusterrolebindings.rbac.authorization.k8s.io",
                {
                    "metadata": {"name": "more"},
                    "roleRef": {"kind": "ClusterRole", "name": "view"},
                    "subjects": [{"kind": "User", "name": "system:node:n1"}],
                },
            ),
        ],
    )

    assert not grown.decide(NODE, read("deployments.apps", "web")).reason.startswith("no relationship")
    grown.permit(NODE, Attributes("get", path="/version"))


names = st.sampled_from(["a", "b"])
referring = st.builds(
    lambda name, node, secrets, account: on_node(
        name, node, imagePullSecrets=[{"name": each} for each in secrets], serviceAccountName=account
    ),
    names,
    st.sampled_from(["", "n1", "n2"]),
    st.lists(names, max_size=2),
    names,
)


@given(st.lists(st.one_of(referring, names), max_size=12))
def test_the_graph_is_as_new_as_the_cache(changes: list[Object | str]) -> None:
    """A bare name is a deletion. After each change every question is asked, so that what is remembered counts."""
    stored, pods = Stored(), dict[str, Object]()
    graph = NodeGraph(stored.cache)
    for change in changes:
        if isinstance(change, str):
            pods.pop(change, None)
            stored.delete("pods", f"shop/{change}")
        else:
            pods[change["metadata"]["name"]] = change
            stored.put("pods", change)
        for node in ("n1", "n2"):
            there = [each for each in pods.values() if each["spec"]["nodeName"] == node]
            for thing in (Thing(kind, "shop", name) for kind in ("secrets", "serviceaccounts") for name in "ab"):
                assert graph.reaches(node, thing) == any(thing in references(each) for each in there)
            for name in "ab":
                assert graph.reaches(node, Thing("pods", "shop", name)) == any(
                    each["metadata"]["name"] == name for each in there
                )


# -- whose object it is ----------------------------------------------------------------------------------------------


class AsNode:
    """The kubelet of n1, which speaks by messages."""

    def __init__(self, served: World) -> None:
        self._served = served

    async def ask(self, request: Any) -> Any:
        answer = await outcome(self._served, "n1-kubelet", request)
        if isinstance(answer, str):
            raise Forbidden(answer)
        return answer

    async def patch(self, resource: str, name: str, patch: Any, subresource: str = "", namespace: str = "") -> None:
        body = msgspec.msgpack.encode(patch)
        await self.ask(door.Patch(resource, name, "merge", body, namespace, subresource))  # type: ignore[arg-type]

    async def create(self, resource: str, obj: Object, name: str = "", subresource: str = "") -> None:
        namespace = obj["metadata"].get("namespace", "")
        request = door.Create(resource, encode_object(obj), namespace, name=name, subresource=subresource)  # type: ignore[arg-type]
        await self.ask(request)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as here:
        for node in ("n1", "n2"):
            await here.create("nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}})
            made = pod(f"on-{node}")
            await here.create("pods", {**made, "spec": {**made["spec"], "nodeName": node}})
        yield here


async def refused(doing: Any) -> str:
    with pytest.raises(Forbidden) as refusal:
        await doing
    return refusal.value.message


async def test_it_changes_its_own_node_and_no_other(served: World) -> None:
    node = AsNode(served)

    await node.patch("nodes", "n1", {"status": {"phase": "Running"}}, "status")
    await node.patch("nodes", "n1", {"metadata": {"labels": {"kubernetes.io/hostname": "n1", "rack": "7"}}})

    assert await refused(node.patch("nodes", "n2", {"status": {"phase": "x"}}, "status")) == (
        'nodes "n2" is forbidden: node "n1" is not allowed to modify node "n2"'
    )
    assert await refused(node.patch("nodes", "n1", {"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}})) == (
        'nodes "n1" is forbidden: node "n1" is not allowed to modify taints'
    )
    labels = {"node-restriction.kubernetes.io/secure": "yes", "node-role.kubernetes.io/control-plane": ""}
    assert await refused(node.patch("nodes", "n1", {"metadata": {"labels": labels}})) == (
        'nodes "n1" is forbidden: is not allowed to modify labels: '
        "node-restriction.kubernetes.io/secure, node-role.kubernetes.io/control-plane"
    )
    assert await refused(node.create("nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n3"}})) == (
        'nodes "n3" is forbidden: node "n1" is not allowed to modify node "n3"'
    )


async def test_it_says_how_its_own_pods_are_and_deletes_them(served: World) -> None:
    node, running = AsNode(served), {"status": {"phase": "Running"}}

    await node.patch("pods", "on-n1", running, "status", "default")

    assert await refused(node.patch("pods", "on-n2", running, "status", "default")) == (
        'pods "on-n2" is forbidden: node "n1" can only update pod status for pods with spec.nodeName set to itself'
    )
    assert await refused(node.ask(door.Delete("pods", "on-n2", "default"))) == (
        'pods "on-n2" is forbidden: node "n1" can only delete pods with spec.nodeName set to itself'
    )
    assert await refused(node.create("pods", {**pod("new"), "kind": "Pod"})) == (
        'pods "new" is forbidden: pod does not have "kubernetes.io/config.mirror" annotation, '
        'node "n1" can only create mirror pods'
    )
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "on-n2", "namespace": "default"}}
    assert await refused(node.create("pods", eviction, "on-n2", "eviction")) == (
        'pods "on-n2" is forbidden: node n1 can only evict pods with spec.nodeName set to itself'
    )
    await node.ask(door.Delete("pods", "on-n1", "default", grace_s=0))
    assert await served.names("pods") == ["on-n2"]


async def test_a_lease_and_a_csi_node_have_its_name(served: World) -> None:
    node, lease = AsNode(served), {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
    await served.create("namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}})
    where = "kube-node-lease"

    await node.create("leases.coordination.k8s.io", {**lease, "metadata": {"name": "n1", "namespace": where}})

    other = {**lease, "metadata": {"name": "n2", "namespace": where}}
    assert await refused(node.create("leases.coordination.k8s.io", other)) == (
        'leases.coordination.k8s.io "n2" is forbidden: can only access node lease with the same name as the '
        "requesting node"
    )
    csi = {"apiVersion": "storage.k8s.io/v1", "kind": "CSINode", "metadata": {"name": "n2"}, "spec": {"drivers": []}}
    assert await refused(node.create("csinodes.storage.k8s.io", csi)) == (
        'csinodes.storage.k8s.io "n2" is forbidden: can only access CSINode with the same name as the requesting node'
    )


async def test_who_may_not_read_is_told_the_same_whether_there_is_one_or_not(served: World) -> None:
    node = AsNode(served)
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "there", "namespace": "default"}}
    await served.create("secrets", secret)

    texts = [await refused(node.ask(door.Get("secrets", name, "default"))) for name in ("there", "not-there")]

    assert texts == [
        f'secrets "{name}" is forbidden: User "system:node:n1" cannot get resource "secrets" in API group "" in the '
        f'namespace "default": {NOBODY}'
        for name in ("there", "not-there")
    ]


async def test_a_kubelet_that_shows_a_certificate_is_held_to_the_same(tmp_path: Path) -> None:
    async with rest(tmp_path) as api:
        authority = Authority(tmp_path / "pki", NOW)
        context = client_context(authority, authority.client("n1", "system:node:n1", ["system:nodes"]))
        bound = {**pod("web"), "spec": {**pod("web")["spec"], "nodeName": "n1", "imagePullSecrets": [{"name": "its"}]}}
        await api.create("/api/v1/namespaces/default/pods", bound)
        for name in ("its", "another"):
            await api.create("/api/v1/namespaces/default/secrets", {"metadata": {"name": name}})
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as kubelet:
            its = await api.send("GET", "/api/v1/namespaces/default/secrets/its", session=kubelet)
            another = await api.send("GET", "/api/v1/namespaces/default/secrets/another", session=kubelet)
            pods = await api.send("GET", "/api/v1/pods?fieldSelector=spec.nodeName=n1", session=kubelet)
            all_pods = await api.send("GET", "/api/v1/pods", session=kubelet)

    assert (its.code, pods.code) == (200, 200)
    assert another.code == 403 and another.json["message"].endswith(f": {NOBODY}")
    assert all_pods.json["message"].endswith(": can only list/watch pods with spec.nodeName field selector")
