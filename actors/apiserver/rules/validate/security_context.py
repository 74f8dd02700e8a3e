"""Security contexts: whom a pod and its containers run as, and what they may do beyond that."""

from __future__ import annotations

import re
from typing import Any

from actors.apiserver.rules import names
from actors.apiserver.rules.field import (
    FieldErrors,
    duplicate,
    forbidden,
    invalid_value,
    matches,
    not_supported,
    required,
    too_long,
)

Context = dict[str, Any]

_ID_MAX = 2**31 - 1
_PROFILES = ("Localhost", "RuntimeDefault", "Unconfined")
_CHOICES = {
    "fsGroupChangePolicy": ("Always", "OnRootMismatch"),
    "seLinuxChangePolicy": ("Recursive",),
    "supplementalGroupsPolicy": ("Merge", "Strict"),
}
_PROC_MOUNTS = ("Default", "Unmasked")
_APP_ARMOR_BYTES_MAX = 4095
_SYSCTL = r"^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$"
_SYSCTL_MAX = 253
# Where a pod shares a namespace with its node, it does not set what all of that namespace have in common.
_SYSCTLS_OF = {
    "hostNetwork": ("net.",),
    "hostIPC": ("kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue."),
}
_USER_NAME_MAX = 104
# As Go writes a context that is refused as a whole.
_IN_GO = {
    "capabilities": "Capabilities",
    "privileged": "Privileged",
    "seLinuxOptions": "SELinuxOptions",
    "windowsOptions": "WindowsOptions",
    "runAsUser": "RunAsUser",
    "runAsGroup": "RunAsGroup",
    "runAsNonRoot": "RunAsNonRoot",
    "readOnlyRootFilesystem": "ReadOnlyRootFilesystem",
    "allowPrivilegeEscalation": "AllowPrivilegeEscalation",
    "procMount": "ProcMount",
    "seccompProfile": "SeccompProfile",
    "appArmorProfile": "AppArmorProfile",
}


def pod_context(field: str, spec: dict[str, Any]) -> FieldErrors:
    context: Context = spec.get("securityContext") or {}
    for key in ("runAsUser", "runAsGroup", "fsGroup"):
        yield from _an_id(f"{field}.{key}", context.get(key))
    for index, group in enumerate(context.get("supplementalGroups") or ()):
        yield from _an_id(f"{field}.supplementalGroups[{index}]", group)
    for key, choices in _CHOICES.items():
        if context.get(key) is not None and context[key] not in choices:
            yield not_supported(f"{field}.{key}", context[key], choices)
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        detail = "ShareProcessNamespace and HostPID cannot both be enabled"
        yield invalid_value(f"{field}.shareProcessNamespace", True, detail)
    yield from _sysctls(f"{field}.sysctls", context.get("sysctls") or (), spec)
    yield from _profiles(field, context)
    yield from _windows(f"{field}.windowsOptions", context.get("windowsOptions") or {})


def container_context(field: str, container: dict[str, Any], spec: dict[str, Any]) -> FieldErrors:
    context: Context = container.get("securityContext") or {}
    for key in ("runAsUser", "runAsGroup"):
        yield from _an_id(f"{field}.{key}", context.get(key))
    mount = context.get("procMount")
    if mount is not None and mount not in _PROC_MOUNTS:
        yield not_supported(f"{field}.procMount", mount, _PROC_MOUNTS)
    if mount == "Unmasked" and spec.get("hostUsers") is not False:
        yield invalid_value(f"{field}.procMount", mount, "`hostUsers` must be false to use `Unmasked`")
    if context.get("allowPrivilegeEscalation") is False:
        yield from _escalates(field, context)
    yield from _profiles(field, context)
    yield from _windows(f"{field}.windowsOptions", context.get("windowsOptions") or {})


def host_processes(field: str, spec: dict[str, Any]) -> FieldErrors:
    """On Windows: whoever is a process of the node is in its network."""
    of_pod = _is_host_process(spec)
    anybody = bool(of_pod)
    for kind in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(kind) or ()):
            own = _is_host_process(container)
            anybody |= bool(own)
            if None not in (own, of_pod) and own != of_pod:
                shown = "true" if of_pod else "false"
                detail = f"pod hostProcess value must be identical if both are specified, was {shown}"
                yield invalid_value(f"{field}.{kind}[{index}].securityContext.windowsOptions.hostProcess", own, detail)
    if anybody and not spec.get("hostNetwork"):
        detail = "hostNetwork must be true if pod contains any hostProcess containers"
        yield invalid_value(f"{field}.hostNetwork", False, detail)


def _is_host_process(holder: dict[str, Any]) -> bool | None:
    options = (holder.get("securityContext") or {}).get("windowsOptions") or {}
    found: bool | None = options.get("hostProcess")
    return found


def host_users(field: str, spec: dict[str, Any]) -> FieldErrors:
    """Who has users of its own shares no namespace with its node."""
    if spec.get("hostUsers") is not False:
        return
    for key, name in (("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")):
        if spec.get(key):
            yield forbidden(f"{field}.{name}", "when `hostUsers` is false")


def _escalates(field: str, context: Context) -> FieldErrors:
    if context.get("privileged"):
        detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
        yield invalid_value(field, _as_go(context), detail)
    if "CAP_SYS_ADMIN" in ((context.get("capabilities") or {}).get("add") or ()):
        detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
        yield invalid_value(field, _as_go(context), detail)


def _as_go(context: Context) -> Context:
    shown = {name: context.get(key) for key, name in _IN_GO.items()}
    if shown["Capabilities"] is not None:
        shown["Capabilities"] = {key.title(): shown["Capabilities"].get(key) for key in ("add", "drop")}
    return shown


def _an_id(field: str, value: int | None) -> FieldErrors:
    if value is not None and not 0 <= value <= _ID_MAX:
        yield invalid_value(field, value, names.in_range(0, _ID_MAX))


def _profiles(field: str, context: Context) -> FieldErrors:
    if context.get("seccompProfile") is not None:
        yield from _seccomp(f"{field}.seccompProfile", context["seccompProfile"])
    if context.get("appArmorProfile") is not None:
        yield from _app_armor(f"{field}.appArmorProfile", context["appArmorProfile"])


def _seccomp(field: str, profile: dict[str, Any]) -> FieldErrors:
    kind, local = profile.get("type") or "", profile.get("localhostProfile")
    where = f"{field}.localhostProfile"
    if not kind:
        yield required(f"{field}.type", "type is required when seccompProfile is set")
    elif kind not in _PROFILES:
        yield not_supported(f"{field}.type", kind, _PROFILES)
    if kind != "Localhost":
        if local is not None:
            shown = {"Type": kind, "LocalhostProfile": local}
            yield invalid_value(where, shown, "can only be set when seccomp type is Localhost")
    elif local is None:
        yield required(where, "must be set when seccomp type is Localhost")
    elif local.startswith("/"):
        yield invalid_value(where, local, "must be a relative path")
    elif ".." in local.split("/"):
        yield invalid_value(where, local, "must not contain '..'")


def _app_armor(field: str, profile: dict[str, Any]) -> FieldErrors:
    kind, local = profile.get("type") or "", profile.get("localhostProfile")
    where = f"{field}.localhostProfile"
    if not kind:
        yield required(f"{field}.type", "type is required when appArmorProfile is set")
    elif kind not in _PROFILES:
        yield not_supported(f"{field}.type", kind, _PROFILES)
    elif kind != "Localhost":
        if local is not None:
            yield invalid_value(where, local, "can only be set when AppArmor type is Localhost")
    elif not local:
        yield required(where, "must be set when AppArmor type is Localhost")
    elif local != local.strip():
        yield invalid_value(where, local, "must not be padded with whitespace")
    elif len(local.encode()) > _APP_ARMOR_BYTES_MAX:
        yield too_long(where, _APP_ARMOR_BYTES_MAX)


def _sysctls(field: str, listed: Any, spec: dict[str, Any]) -> FieldErrors:
    seen: set[str] = set()
    for index, sysctl in enumerate(listed):
        where, name = f"{field}[{index}].name", sysctl.get("name") or ""
        if not name:
            yield required(where)
        elif len(name) > _SYSCTL_MAX or not re.fullmatch(_SYSCTL, name, re.ASCII):
            yield invalid_value(where, name, f"must have at most {_SYSCTL_MAX} characters and match regex {_SYSCTL}")
        elif name in seen:
            yield duplicate(where, name)
        for shared, prefixes in _SYSCTLS_OF.items():
            if spec.get(shared) and name.replace("/", ".").startswith(prefixes):
                yield invalid_value(where, name, f"may not be specified when '{shared}' is true")
        seen.add(name)


def _windows(field: str, options: dict[str, Any]) -> FieldErrors:
    name = options.get("gmsaCredentialSpecName")
    if name is not None:
        yield from matches(f"{field}.gmsaCredentialSpecName", name, names.dns_subdomain(name))
    if options.get("gmsaCredentialSpec") == "":
        yield invalid_value(f"{field}.gmsaCredentialSpec", "", "gmsaCredentialSpec cannot be an empty string")
    user = options.get("runAsUserName")
    if user == "":
        yield invalid_value(f"{field}.runAsUserName", "", "runAsUserName cannot be an empty string")
    elif user is not None and len(user.rpartition("\\")[2]) > _USER_NAME_MAX:
        detail = f"runAsUserName's User length must not be longer than {_USER_NAME_MAX} characters"
        yield invalid_value(f"{field}.runAsUserName", user, detail)
