"""A container's environment, its volumes' files and its configuration for the runtime."""

from __future__ import annotations

from typing import Any

import pytest

from actors.kubelet.container_config import container_config, sandbox_config
from actors.kubelet.env import ConfigError, Place, Source, container_env, env_sources, expand, source_data
from actors.kubelet.net_target import network_probe
from actors.kubelet.volumes import Files, volume_files, volume_sources
from protocols.cri import LinuxContainerResources, ProbeNetwork

PLACE = Place("node-1", "127.64.0.1", "127.65.1.2", {"cpu": 4000, "memory": 1 << 30})
POD: dict[str, Any] = {
    "metadata": {
        "name": "web-0",
        "namespace": "default",
        "uid": "u",
        "labels": {"app": "web", "tier": 'fr"ont'},
        "annotations": {"actorkube.dev/sim-exit-after": "1", "kubectl.kubernetes.io/last-applied-configuration": "{}"},
    },
    "spec": {"serviceAccountName": "robot", "containers": []},
}
CONTENTS = {
    ("configmaps", "config"): {"greeting": b"hello", "bytes": b"\xff"},
    ("secrets", "keys"): {"password": b"secret"},
    ("configmaps", "missing"): None,
    ("secrets", "missing"): None,
}


def env(*variables: dict[str, Any], **container: Any) -> dict[str, str]:
    return container_env(POD, {"name": "main", "env": list(variables), **container}, CONTENTS, PLACE)


def ref(kind: str, name: str, key: str, **more: Any) -> dict[str, Any]:
    return {"name": "X", "valueFrom": {kind: {"name": name, "key": key, **more}}}


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("$(A)-$(B)", "1-$(B)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$A $( $(", "$A $( $("),
        ("$(A", "$(A"),
        ("100$$", "100$"),
    ],
)
def test_references_are_expanded_as_kubernetes_does(text: str, expanded: str) -> None:
    assert expand(text, {"A": "1"}) == expanded


def test_later_variables_may_refer_to_earlier_ones_and_replace_envfrom() -> None:
    source = {"envFrom": [{"prefix": "C_", "configMapRef": {"name": "config"}}]}

    found = env({"name": "C_greeting", "value": "hi"}, {"name": "SAID", "value": "$(C_greeting) $(LATER)"}, **source)

    assert found == {"C_greeting": "hi", "C_bytes": "�", "SAID": "hi $(LATER)"}


def test_values_come_from_config_maps_secrets_and_the_pod() -> None:
    fields = {
        "metadata.name": "web-0",
        "metadata.labels['app']": "web",
        "spec.nodeName": "node-1",
        "spec.serviceAccountName": "robot",
        "status.hostIP": "127.64.0.1",
        "status.podIP": "127.65.1.2",
    }

    assert env(ref("configMapKeyRef", "config", "greeting"))["X"] == "hello"
    assert env(ref("secretKeyRef", "keys", "password"))["X"] == "secret"
    for path, value in fields.items():
        assert env({"name": "X", "valueFrom": {"fieldRef": {"fieldPath": path}}})["X"] == value


def test_resources_are_given_in_units_of_the_divisor_rounded_up() -> None:
    resources = {"resources": {"limits": {"cpu": "1500m"}, "requests": {"memory": "100Mi"}}}

    def field(resource: str, divisor: str = "") -> str:
        source = {"resourceFieldRef": {"resource": resource, "divisor": divisor or "0"}}
        return env({"name": "X", "valueFrom": source}, **resources)["X"]

    assert (field("limits.cpu"), field("limits.cpu", "1m"), field("requests.memory", "1Mi")) == ("2", "1500", "100")
    assert (field("limits.memory"), field("requests.cpu")) == (str(1 << 30), "0")


def test_what_is_missing_is_named_unless_it_is_optional() -> None:
    with pytest.raises(ConfigError, match='configmap "missing" not found'):
        env(ref("configMapKeyRef", "missing", "x"))
    with pytest.raises(ConfigError, match="couldn't find key other in Secret keys"):
        env(ref("secretKeyRef", "keys", "other"))
    with pytest.raises(ConfigError, match="field label not supported"):
        env({"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "spec.colour"}}})

    assert env(ref("configMapKeyRef", "missing", "x", optional=True)) == {}
    assert env(ref("secretKeyRef", "keys", "other", optional=True)) == {}


def test_everything_that_is_read_is_announced_before() -> None:
    container = {
        "env": [ref("configMapKeyRef", "a", "k"), ref("secretKeyRef", "b", "k", optional=True)],
        "envFrom": [{"configMapRef": {"name": "c"}}, {"secretRef": {"name": "d"}}],
    }
    volumes = [
        {"name": "1", "configMap": {"name": "e"}},
        {"name": "2", "projected": {"sources": [{"secret": {"name": "f"}}, {"downwardAPI": {"items": []}}]}},
    ]

    assert [source.name for source in env_sources(container)] == ["c", "d", "a", "b"]
    assert list(volume_sources(volumes)) == [Source("configmaps", "e", False), Source("secrets", "f", False)]


def test_config_maps_and_secrets_decode_to_bytes() -> None:
    config = {"kind": "ConfigMap", "data": {"a": "ä"}, "binaryData": {"b": "/w=="}}

    assert source_data(config) == {"a": "ä".encode(), "b": b"\xff"}
    assert source_data({"kind": "Secret", "data": {"p": "c2VjcmV0"}}) == {"p": b"secret"}


def files(**volume: Any) -> Files:
    return volume_files(POD, {"name": "v", **volume}, CONTENTS, PLACE)


def test_a_volume_shows_all_keys_or_the_chosen_ones() -> None:
    item = {"key": "greeting", "path": "deep/hello", "mode": 0o400}

    assert files(emptyDir={}) == Files(None, {})
    assert files(configMap={"name": "config"}).files == {"greeting": b"hello", "bytes": b"\xff"}
    assert files(configMap={"name": "config", "items": [item]}) == Files(
        {"deep/hello": b"hello"}, {"deep/hello": 0o400}
    )
    assert files(secret={"secretName": "keys", "defaultMode": 0o600}) == Files({"password": b"secret"}, {}, 0o600)
    assert files(secret={"secretName": "missing", "optional": True}).files == {}


def test_projected_volumes_merge_their_parts_in_order() -> None:
    field = {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}
    sources = [{"configMap": {"name": "config"}}, {"secret": {"name": "keys"}}, {"downwardAPI": {"items": [field]}}]

    merged = files(projected={"sources": sources}).files

    assert merged is not None
    assert sorted(merged) == ["bytes", "greeting", "labels", "password"]
    assert merged["labels"] == b'app="web"\ntier="fr\\"ont"'


def test_what_this_node_cannot_do_is_said() -> None:
    with pytest.raises(ConfigError, match='volume "v": persistentVolumeClaim is not supported by this node'):
        files(persistentVolumeClaim={"claimName": "c"})
    with pytest.raises(ConfigError, match="the token of the pod's service account is not there yet"):
        files(projected={"sources": [{"serviceAccountToken": {"path": "token"}}]})
    with pytest.raises(ConfigError, match="references non-existent key in configmaps config: nope"):
        files(configMap={"name": "config", "items": [{"key": "nope", "path": "x"}]})


def test_a_container_becomes_what_the_runtime_is_asked_for() -> None:
    container = {
        "name": "main",
        "image": "label",
        "command": ["serve", "$(PORT)"],
        "resources": {"requests": {"cpu": "250m"}, "limits": {"cpu": "1", "memory": "64Mi"}},
        "volumeMounts": [{"name": "v", "mountPath": "/data", "subPath": "part", "readOnly": True}],
    }

    config = container_config(container, 2, {"PORT": "80"}, {"v": "/volumes/v"})

    assert (config.metadata.attempt, config.command) == (2, ("serve", "80"))
    assert config.resources == LinuxContainerResources(256, 100_000, 100_000, 64 << 20)
    assert (config.mounts[0].host_path, config.mounts[0].readonly) == ("/volumes/v/part", True)


@pytest.mark.parametrize("mount", [{"name": "v", "subPath": "../x"}, {"name": "v", "subPath": "/x"}, {"name": "other"}])
def test_a_mount_cannot_lead_out_of_its_volume(mount: dict[str, Any]) -> None:
    container = {"name": "main", "volumeMounts": [{"mountPath": "/data", **mount}]}

    with pytest.raises(ConfigError):
        container_config(container, 0, {}, {"v": "/volumes/v"})


def test_the_runtime_gets_the_annotations_that_are_meant_for_it() -> None:
    assert sandbox_config(POD, 1).annotations == {"actorkube.dev/sim-exit-after": "1"}


def test_probes_find_their_port_by_number_or_name() -> None:
    container = {"name": "main", "ports": [{"name": "http", "containerPort": 8080}]}
    headers = [{"name": "X-A", "value": "b"}]

    by_name = network_probe(container, "c", {"httpGet": {"port": "http", "path": "up", "httpHeaders": headers}}, 1)

    assert by_name == ProbeNetwork("c", "http", 8080, 1, "", "/up", (("X-A", "b"),))
    assert network_probe(container, "c", {"tcpSocket": {"port": 5}}, 1).port == 5
    with pytest.raises(ConfigError, match="has no port named grpc"):
        network_probe(container, "c", {"tcpSocket": {"port": "grpc"}}, 1)
