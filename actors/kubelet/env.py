"""A container's environment: `env`, `envFrom`, fields of the pod, and `$(VAR)` expansion. Pure: what ConfigMaps and
Secrets contain is an argument.

Of the variables that Kubernetes adds for each Service (`WEB_SERVICE_HOST`) there are those of the API server's; other
Services are found through DNS or by their address.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from protocols.objects import Object, meta
from protocols.rules.quantity import NANOS, parse_quantity
from protocols.rules.resources import Amounts

_REFERENCE = re.compile(r"\$(\$|\(([^)]*)\))")
_FIELD_KEY = re.compile(r"metadata\.(labels|annotations)\['(.+)'\]")


class ConfigError(Exception):
    """The container cannot be configured (yet): `CreateContainerConfigError` on the pod, or a volume that waits."""


class Source(NamedTuple):
    """An object that something of the pod is read from."""

    resource: str  # "configmaps" or "secrets"
    name: str
    optional: bool


class Place(NamedTuple):
    """What a pod learns about where it runs; `api` are the variables that say where the API server is."""

    node: str
    host_ip: str
    pod_ip: str
    allocatable: Amounts
    api: Mapping[str, str] = {}


Contents = Mapping[tuple[str, str], Mapping[str, bytes] | None]  # (resource, name) -> its data; None: there is none


def source_data(obj: Object) -> dict[str, bytes]:
    """What a ConfigMap or Secret contains, by key."""
    data, binary = obj.get("data") or {}, obj.get("binaryData") or {}
    if obj.get("kind") == "Secret":
        data, binary = {}, data
    return {
        **{key: str(value).encode() for key, value in data.items()},
        **{key: base64.b64decode(value) for key, value in binary.items()},
    }


def env_sources(container: Mapping[str, Any]) -> Iterator[Source]:
    """What has to be read before `container_env`."""
    for each in container.get("envFrom") or ():
        for key, resource in (("configMapRef", "configmaps"), ("secretRef", "secrets")):
            if reference := each.get(key):
                yield Source(resource, reference.get("name", ""), bool(reference.get("optional")))
    for variable in container.get("env") or ():
        source = variable.get("valueFrom") or {}
        for key, resource in (("configMapKeyRef", "configmaps"), ("secretKeyRef", "secrets")):
            if reference := source.get(key):
                yield Source(resource, reference.get("name", ""), bool(reference.get("optional")))


def container_env(pod: Object, container: Mapping[str, Any], contents: Contents, place: Place) -> dict[str, str]:
    """In the order that Kubernetes defines: envFrom, then env; a later one may refer to earlier ones. ConfigError."""
    env: dict[str, str] = dict(place.api)
    for each in container.get("envFrom") or ():
        env.update(_env_from(each, contents))
    for variable in container.get("env") or ():
        value = _value(pod, container, variable, contents, place, env)
        if value is not None:
            env[variable["name"]] = value
    return env


def expand(text: str, env: Mapping[str, str]) -> str:
    """`$(NAME)` becomes the variable's value, `$$` a `$`; a name that is not there stays as it is written."""

    def replace(match: re.Match[str]) -> str:
        return "$" if match[1] == "$" else env.get(match[2], match[0])

    return _REFERENCE.sub(replace, text)


def field_text(pod: Object, path: str, place: Place) -> str:
    """A field of the pod as the downward API gives it."""
    if match := _FIELD_KEY.fullmatch(path):
        return str((meta(pod).get(match[1]) or {}).get(match[2], ""))
    match path:
        case "metadata.labels" | "metadata.annotations":
            pairs = meta(pod).get(path.partition(".")[2]) or {}
            return "\n".join(f'{key}="{_escaped(value)}"' for key, value in sorted(pairs.items()))
        case "metadata.name" | "metadata.namespace" | "metadata.uid":
            return str(meta(pod).get(path.partition(".")[2]) or "")
        case "spec.nodeName":
            return place.node
        case "spec.serviceAccountName":
            return str((pod.get("spec") or {}).get("serviceAccountName") or "")
        case "status.hostIP" | "status.hostIPs":
            return place.host_ip
        case "status.podIP" | "status.podIPs":
            return place.pod_ip
    raise ConfigError(f"field label not supported: {path}")


def resource_text(pod: Object, container: Mapping[str, Any], reference: Mapping[str, Any], place: Place) -> str:
    """`limits.cpu` and the like, in units of the divisor, rounded up. A missing limit is what the node has."""
    name = reference.get("containerName")
    if name and name != container.get("name"):
        specs = pod["spec"].get("containers") or ()
        container = next((spec for spec in specs if spec["name"] == name), container)
    kind, _, resource = str(reference["resource"]).partition(".")
    quantities = (container.get("resources") or {}).get(kind) or {}
    nanos = _amount_nanos(resource, quantities, place, kind == "limits")
    return str(-(-nanos // (parse_quantity(reference.get("divisor") or "1") or NANOS)))


def _amount_nanos(resource: str, quantities: Mapping[str, Any], place: Place, is_limit: bool) -> int:
    if resource in quantities:
        return parse_quantity(quantities[resource])
    if not is_limit:
        return 0
    have = place.allocatable.get(resource, 0)
    return have * NANOS // 1000 if resource == "cpu" else have * NANOS


def _env_from(each: Mapping[str, Any], contents: Contents) -> dict[str, str]:
    prefix = each.get("prefix") or ""
    for key, resource in (("configMapRef", "configmaps"), ("secretRef", "secrets")):
        if reference := each.get(key):
            data = read_source(Source(resource, reference.get("name", ""), bool(reference.get("optional"))), contents)
            return {prefix + name: value.decode("utf-8", "replace") for name, value in data.items()}
    return {}


def _value(
    pod: Object,
    container: Mapping[str, Any],
    variable: Mapping[str, Any],
    contents: Contents,
    place: Place,
    env: Mapping[str, str],
) -> str | None:
    """None: it is optional and not there."""
    source = variable.get("valueFrom")
    if not source:
        return expand(str(variable.get("value") or ""), env)
    if reference := source.get("fieldRef"):
        return field_text(pod, reference["fieldPath"], place)
    if reference := source.get("resourceFieldRef"):
        return resource_text(pod, container, reference, place)
    for key, resource in (("configMapKeyRef", "configmaps"), ("secretKeyRef", "secrets")):
        if reference := source.get(key):
            return _key_value(
                Source(resource, reference.get("name", ""), bool(reference.get("optional"))), reference["key"], contents
            )
    raise ConfigError(f"env {variable['name']}: valueFrom names no source")


def _key_value(source: Source, key: str, contents: Contents) -> str | None:
    value = read_source(source, contents).get(key)
    if value is None and not source.optional:
        raise ConfigError(f"couldn't find key {key} in {_kind(source)} {source.name}")
    return None if value is None else value.decode("utf-8", "replace")


def read_source(source: Source, contents: Contents) -> Mapping[str, bytes]:
    data = contents.get((source.resource, source.name))
    if data is None and not source.optional:
        raise ConfigError(f'{_kind(source).lower()} "{source.name}" not found')
    return data or {}


def _kind(source: Source) -> str:
    return "ConfigMap" if source.resource == "configmaps" else "Secret"


def _escaped(value: str) -> str:
    """As Go's %q, for what occurs in labels and annotations."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
