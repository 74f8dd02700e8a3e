"""From a container of a pod to what the runtime is asked to make (CRI's ContainerConfig and PodSandboxConfig)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from actors.kubelet.env import ConfigError, expand
from protocols.cri import (
    ContainerConfig,
    ContainerMetadata,
    LinuxContainerResources,
    LinuxContainerUser,
    Mount,
    PodSandboxConfig,
    PodSandboxMetadata,
)
from protocols.objects import Object, labels_of, meta, name_of, namespace_of, uid_of
from protocols.rules.quantity import bytes_of, cpu_milli

_SHARES_PER_CPU = 1024
_SHARES_MIN = 2
_PERIOD_US = 100_000
_KEPT_ANNOTATIONS = "actorkube.dev/"


def sandbox_config(pod: Object, attempt: int) -> PodSandboxConfig:
    spec = pod.get("spec") or {}
    return PodSandboxConfig(
        PodSandboxMetadata(name_of(pod), uid_of(pod), namespace_of(pod), attempt),
        hostname=str(spec.get("hostname") or name_of(pod)),
        host_network=bool(spec.get("hostNetwork")),
        labels=dict(labels_of(pod)),
        annotations=runtime_annotations(pod),
    )


def container_config(
    container: Mapping[str, Any],
    attempt: int,
    env: Mapping[str, str],
    volume_paths: Mapping[str, str],
    security: Mapping[str, Any] = MappingProxyType({}),
) -> ContainerConfig:
    """`security`: the pod's context, which a container's own goes before. Raises ConfigError when a volumeMount names
    no volume."""
    return ContainerConfig(
        ContainerMetadata(container["name"], attempt),
        image=str(container.get("image") or ""),
        command=tuple(expand(part, env) for part in container.get("command") or ()),
        args=tuple(expand(part, env) for part in container.get("args") or ()),
        working_dir=str(container.get("workingDir") or ""),
        envs=dict(env),
        mounts=tuple(_mount(mount, env, volume_paths) for mount in container.get("volumeMounts") or ()),
        resources=linux_resources(container.get("resources") or {}),
        stdin=bool(container.get("stdin")),
        stdin_once=bool(container.get("stdinOnce")),
        tty=bool(container.get("tty")),
        user=user_of(security, container.get("securityContext") or {}),
    )


def user_of(of_pod: Mapping[str, Any], own: Mapping[str, Any]) -> LinuxContainerUser:
    """As whom it is to run: root, where nobody says otherwise and the image cannot."""
    context = {**of_pod, **own}
    gid = int(context.get("runAsGroup") or 0)
    volumes = [of_pod["fsGroup"]] if of_pod.get("fsGroup") is not None else []
    groups = dict.fromkeys([gid, *(of_pod.get("supplementalGroups") or ()), *volumes])
    return LinuxContainerUser(int(context.get("runAsUser") or 0), gid, tuple(groups))


def runtime_annotations(pod: Object) -> dict[str, str]:
    """Those that are meant for the runtime; others (like the last applied configuration) can be large."""
    annotations = meta(pod).get("annotations") or {}
    return {key: value for key, value in annotations.items() if key.startswith(_KEPT_ANNOTATIONS)}


def _mount(mount: Mapping[str, Any], env: Mapping[str, str], volume_paths: Mapping[str, str]) -> Mount:
    path = volume_paths.get(mount["name"])
    if path is None:
        raise ConfigError(f'volumeMount "{mount["mountPath"]}": there is no volume "{mount["name"]}"')
    sub_path = mount.get("subPath") or expand(mount.get("subPathExpr") or "", env)
    if sub_path:
        if sub_path.startswith("/") or ".." in sub_path.split("/"):
            raise ConfigError(f'volumeMount "{mount["mountPath"]}": subPath {sub_path!r} leads out of the volume')
        path = f"{path}/{sub_path}"
    return Mount(mount["mountPath"], path, bool(mount.get("readOnly")), mount["name"])


def linux_resources(resources: Mapping[str, Any]) -> LinuxContainerResources:
    """As the kubelet computes them: shares from the request (or limit), quota from the limit."""
    limits = resources.get("limits") or {}
    requests = {**limits, **(resources.get("requests") or {})}
    shares = (
        max(cpu_milli(requests["cpu"]) * _SHARES_PER_CPU // 1000, _SHARES_MIN) if "cpu" in requests else _SHARES_MIN
    )
    quota = cpu_milli(limits["cpu"]) * _PERIOD_US // 1000 if "cpu" in limits else 0
    return LinuxContainerResources(shares, quota, _PERIOD_US, bytes_of(limits["memory"]) if "memory" in limits else 0)
