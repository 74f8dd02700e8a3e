"""A process pod's clients find the cluster by a kubeconfig in the container's home."""

from __future__ import annotations

import json

import pytest

from actors.runtime.kubeconfig import kubeconfig
from actors.runtime.ledger import Container, Sandbox
from protocols.cri import ContainerConfig, ContainerMetadata, Mount, PodSandboxConfig, PodSandboxMetadata

MOUNT = Mount("/var/run/secrets/kubernetes.io/serviceaccount", "/v/token", True, "kube-api-access-x2x8z")
ENV = {"KUBERNETES_SERVICE_HOST": "127.66.0.1", "KUBERNETES_SERVICE_PORT": "443"}


def container(mounts: tuple[Mount, ...], envs: dict[str, str]) -> Container:
    sandbox = Sandbox("s", PodSandboxConfig(PodSandboxMetadata("web-0", "u", "shop")), 0.0, ip="127.65.1.2")
    config = ContainerConfig(ContainerMetadata("main"), "label", ("run",), mounts=mounts, envs=envs)
    return Container("c", sandbox, config, 0.0)


def test_it_names_the_server_and_the_files_that_are_renewed() -> None:
    document = json.loads(kubeconfig(container((MOUNT,), ENV)) or b"{}")

    assert document["clusters"][0]["cluster"] == {
        "server": "https://127.66.0.1:443",
        "certificate-authority": "/v/token/ca.crt",
    }
    assert document["users"][0]["user"] == {"tokenFile": "/v/token/token"}
    assert document["contexts"][0]["context"]["namespace"] == "shop"


def test_an_address_of_version_six_is_in_brackets() -> None:
    written = kubeconfig(container((MOUNT,), {**ENV, "KUBERNETES_SERVICE_HOST": "fd00::1"}))

    assert b"https://[fd00::1]:443" in (written or b"")


@pytest.mark.parametrize(("mounts", "envs"), [((), ENV), ((MOUNT,), {}), ((Mount("/data", "/v", name="d"),), ENV)])
def test_without_a_token_or_a_server_there_is_none(mounts: tuple[Mount, ...], envs: dict[str, str]) -> None:
    assert kubeconfig(container(mounts, envs)) is None
