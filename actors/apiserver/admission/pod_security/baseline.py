"""The baseline level: what is known to let a container out of its box is forbidden, and nothing else.

Each check takes the pod's annotations, its spec, and the minor version of the standards.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from actors.apiserver.admission.pod_security.violation import (
    Spec,
    Violation,
    containers,
    culprits,
    named,
    plural,
    quoted,
    security,
    setters,
    use,
)

Annotations = Mapping[str, str]

_CAPABILITIES = frozenset(
    {
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    }
)
_SELINUX_TYPES = ("", "container_t", "container_init_t", "container_kvm_t")
_SYSCTLS: dict[int, str] = {
    0: "kernel.shm_rmid_forced net.ipv4.ip_local_port_range net.ipv4.tcp_syncookies net.ipv4.ping_group_range "
    "net.ipv4.ip_unprivileged_port_start",
    27: "net.ipv4.ip_local_reserved_ports",
    29: "net.ipv4.tcp_keepalive_time net.ipv4.tcp_fin_timeout net.ipv4.tcp_keepalive_intvl "
    "net.ipv4.tcp_keepalive_probes",
    32: "net.ipv4.tcp_rmem net.ipv4.tcp_wmem",
    37: "net.ipv4.tcp_slow_start_after_idle net.ipv4.tcp_notsent_lowat",
}
_CONFINED = ("RuntimeDefault", "Localhost")
_APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
_SECCOMP_POD = "seccomp.security.alpha.kubernetes.io/pod"
_SECCOMP_CONTAINER = "container.seccomp.security.alpha.kubernetes.io/"


def app_armor(annotations: Annotations, spec: Spec, version: int) -> Violation | None:
    bad = setters(spec, lambda context: _unconfined(context, "appArmorProfile"))
    values = _profile_types(spec, "appArmorProfile")
    said = sorted(
        f'{key}="{value}"'
        for key, value in annotations.items()
        if key.startswith(_APPARMOR) and value not in ("", "runtime/default") and not value.startswith("localhost/")
    )
    if said:
        bad.append(plural("annotation", said))
    if not bad:
        return None
    values += said
    detail = f"{' and '.join(bad)} must not set AppArmor profile type to {quoted(values)}"
    return Violation(plural("forbidden AppArmor profile", values), detail)


def capabilities(annotations: Annotations, spec: Spec, version: int) -> Violation | None:
    bad = culprits(spec, lambda container: bool(_added(container) - _CAPABILITIES))
    if not bad:
        return None
    added = sorted({each for container in containers(spec) for each in _added(container)} - _CAPABILITIES)
    detail = f"{named(bad)} must not include {quoted(added)} in securityContext.capabilities.add"
    return Violation("non-default capabilities", detail)


def host_namespaces(annotations: Annotations, spec: Spec, version: int) -> Violation | None:
    shared = [f"{field}=true" for field in ("hostNetwork", "hostPID", "hostIPC") if spec.get(field)]
    return Violation("host namespaces", ", ".join(shared)) if shared else None


def host_path_volumes(annotations: Annotations, spec: Spec, version: int) -> Violation | None:
    bad = [volume["name"] for volume in spec.get("volumes") or () if volume.get("hostPath") is not None]
    return Violation("hostPath volumes", named(bad, "volume")) if bad else None


def host_ports(annotations: Annotations, spec: Spec, version: int) -> Violation | None:
    bad = culprits(spec, lambda container: bool(_host_ports(container)))
    if not bad:
        return None
    ports = sorted({str(port) for container in containers(spec) for port in _host_ports(container)})
    return Violation("hostPort", f"{named(bad)} {use(bad)} {plural('hostPort', ports)} {', '.join(ports)}")


def host_probes(annotations: Annotations, spec: Spec, version: int) -> Violation | None:
    bad = sorted(set(culprits(spec, lambda container: bool(list(_probed_hosts(container))))))
    if not bad or version < 34:
        return None
    hosts = sorted({host for container in containers(spec) for host in _probed_hosts(container)})
    detail = f"{named(bad)} {use(bad)} {plural('probe or lifecycle host', hosts)} {quoted(hosts)}"
    return Violation("probe or lifecycle host", detail)


def privileged(annotations: Annotations, spec: Spec, version: int) -> Violation | None:
    bad = culprits(spec, lambda container: bool(security(container).get("privileged")))
    return Violation("privileged", f"{named(bad)} must not set securityContext.privileged=true") if bad else None


def proc_mount(annotations: Annotations, spec: Spec, version: int) -> Violation | None:
    return None if version >= 35 and has_own_users(spec) else any_proc_mount(annotations, spec, version)


def any_proc_mount(annotations: Annotations, spec: Spec, version: int) -> Violation | None:
    bad = culprits(spec, lambda container: _proc_mount(container) != "Default")
    if not bad:
        return None
    types = sorted({_proc_mount(container) for container in containers(spec)} - {"Default"})
    return Violation("procMount", f"{named(bad)} must not set securityContext.procMount to {quoted(types)}")


def selinux(annotations: Annotations, spec: Spec, version: int) -> Violation | None:
    allowed = (*_SELINUX_TYPES, "container_engine_t") if version >= 31 else _SELINUX_TYPES

    def is_bad(context: dict[str, Any]) -> bool:
        options = context.get("seLinuxOptions") or {}
        return (options.get("type") or "") not in allowed or bool(options.get("user") or options.get("role"))

    bad = setters(spec, is_bad)
    if not bad:
        return None
    options = [security(holder).get("seLinuxOptions") or {} for holder in (spec, *containers(spec))]
    types = sorted({each.get("type") or "" for each in options} - {*allowed})
    what = [f"{plural('type', types)} {quoted(types)}"] if types else []
    what += [f"{field} may not be set" for field in ("user", "role") if any(each.get(field) for each in options)]
    detail = f"{' and '.join(bad)} set forbidden securityContext.seLinuxOptions: {'; '.join(what)}"
    return Violation("seLinuxOptions", detail)


def seccomp(annotations: Annotations, spec: Spec, version: int) -> Violation | None:
    if version < 19:
        return _seccomp_annotations(annotations, spec)
    bad = setters(spec, lambda context: _unconfined(context, "seccompProfile"))
    if not bad:
        return None
    values = quoted(_profile_types(spec, "seccompProfile"))
    return Violation(
        "seccompProfile", f"{' and '.join(bad)} must not set securityContext.seccompProfile.type to {values}"
    )


def sysctls(annotations: Annotations, spec: Spec, version: int) -> Violation | None:
    allowed = {name for since, names in _SYSCTLS.items() if version >= since for name in names.split()}
    bad = [each["name"] for each in security(spec).get("sysctls") or () if each["name"] not in allowed]
    return Violation("forbidden sysctls", ", ".join(bad)) if bad else None


def windows_host_process(annotations: Annotations, spec: Spec, version: int) -> Violation | None:
    containers_first = culprits(spec, lambda container: _is_host_process(security(container)))
    bad = ["pod"] if _is_host_process(security(spec)) else []
    bad += [named(containers_first)] if containers_first else []
    if not bad:
        return None
    return Violation("hostProcess", f"{' and '.join(bad)} must not set securityContext.windowsOptions.hostProcess=true")


def has_own_users(spec: Spec) -> bool:
    """Root in a user namespace of its own is nobody outside (KEP-127)."""
    return spec.get("hostUsers") is False


def _unconfined(context: dict[str, Any], profile: str) -> bool:
    found = context.get(profile)
    return found is not None and found.get("type") not in _CONFINED


def _profile_types(spec: Spec, profile: str) -> list[str]:
    contexts = [security(holder) for holder in (spec, *containers(spec))]
    return sorted({str(each[profile].get("type") or "") for each in contexts if _unconfined(each, profile)})


def _seccomp_annotations(annotations: Annotations, spec: Spec) -> Violation | None:
    keys = (_SECCOMP_POD, *(f"{_SECCOMP_CONTAINER}{container['name']}" for container in containers(spec)))
    bad = sorted(f'{key}="{annotations[key]}"' for key in {*keys} & {*annotations} if not _is_seccomp(annotations[key]))
    return Violation("seccompProfile", f"forbidden {plural('annotation', bad)} {', '.join(bad)}") if bad else None


def _is_seccomp(value: str) -> bool:
    return value in ("runtime/default", "docker/default") or value.startswith("localhost/")


def _added(container: dict[str, Any]) -> set[str]:
    return {*((security(container).get("capabilities") or {}).get("add") or ())}


def _host_ports(container: dict[str, Any]) -> list[int]:
    return [port["hostPort"] for port in container.get("ports") or () if port.get("hostPort")]


def _proc_mount(container: dict[str, Any]) -> str:
    return str(security(container).get("procMount") or "Default")


def _probed_hosts(container: dict[str, Any]) -> Iterator[str]:
    lifecycle = container.get("lifecycle") or {}
    probes = [container.get(field) for field in ("livenessProbe", "readinessProbe", "startupProbe")]
    for action in (*probes, lifecycle.get("postStart"), lifecycle.get("preStop")):
        for kind in ("httpGet", "tcpSocket"):
            host = ((action or {}).get(kind) or {}).get("host")
            if host:
                yield host


def _is_host_process(context: dict[str, Any]) -> bool:
    return bool((context.get("windowsOptions") or {}).get("hostProcess"))
