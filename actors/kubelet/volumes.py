"""A pod's volumes: what files they show. Pure: what ConfigMaps and Secrets contain is an argument.

Here are emptyDir, hostPath, configMap, secret, downwardAPI and projected (of those, and of tokens of the pod's service
account); claims are in persistent_volumes.py. Volumes that need a driver (csi, nfs, ...) are refused with a message
that says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from actors.kubelet.env import ConfigError, Contents, Place, Source, field_text, read_source, resource_text
from actors.kubelet.tokens import token_wanted
from protocols.objects import Object

_DEFAULT_MODE = 0o644


class Files(NamedTuple):
    """The content of a volume; None: an empty directory whose content is the pod's business."""

    files: dict[str, bytes] | None
    modes: dict[str, int]
    default_mode: int = _DEFAULT_MODE


def volume_sources(volumes: Sequence[Mapping[str, Any]]) -> Iterator[Source]:
    """What has to be read before `volume_files`."""
    for volume in volumes:
        yield from _sources_of(volume)
        for projection in (volume.get("projected") or {}).get("sources") or ():
            yield from _sources_of(projection)


def host_path(volume: Mapping[str, Any]) -> str | None:
    """The host's own directory, for volumes that are one."""
    source = volume.get("hostPath")
    return None if source is None else str(source["path"])


def volume_files(pod: Object, volume: Mapping[str, Any], contents: Contents, place: Place) -> Files:
    """The volume's files. Raises ConfigError when it cannot be had (yet)."""
    if volume.get("emptyDir") is not None:
        return Files(None, {})
    for key in ("configMap", "secret", "downwardAPI", "projected"):
        if (source := volume.get(key)) is not None:
            default_mode = source.get("defaultMode")
            default_mode = _DEFAULT_MODE if default_mode is None else int(default_mode)
            parts = (source.get("sources") or ()) if key == "projected" else ({key: source},)
            return _merged([_part(pod, part, contents, place) for part in parts], default_mode)
    kinds = ", ".join(sorted(key for key in volume if key != "name")) or "of no kind"
    raise ConfigError(f'volume "{volume["name"]}": {kinds} is not supported by this node')


def _part(pod: Object, part: Mapping[str, Any], contents: Contents, place: Place) -> Files:
    if (source := part.get("downwardAPI")) is not None:
        return _downward(pod, source, place)
    if (source := part.get("serviceAccountToken")) is not None:
        return _token(source, contents)
    for reference in _sources_of(part):
        source = part.get("configMap") if reference.resource == "configmaps" else part.get("secret")
        return _selected(reference, (source or {}).get("items"), read_source(reference, contents))
    raise ConfigError(f"projected volumes of {', '.join(sorted(part))} are not supported by this node")


def _selected(source: Source, items: Sequence[Mapping[str, Any]] | None, data: Mapping[str, bytes]) -> Files:
    """All keys under their own names, or the listed ones under theirs."""
    if items is None:
        return Files(dict(data), {})
    missing = [item["key"] for item in items if item["key"] not in data]
    if missing and not source.optional:
        raise ConfigError(f"references non-existent key in {source.resource} {source.name}: {missing[0]}")
    wanted = [item for item in items if item["key"] in data]
    modes = {item["path"]: int(item["mode"]) for item in wanted if item.get("mode") is not None}
    return Files({item["path"]: data[item["key"]] for item in wanted}, modes)


def _token(projection: Mapping[str, Any], contents: Contents) -> Files:
    content = contents.get(token_wanted(projection).source)
    if content is None:
        raise ConfigError("the token of the pod's service account is not there yet")
    return Files({projection["path"]: content["token"]}, {})


def _downward(pod: Object, source: Mapping[str, Any], place: Place) -> Files:
    files: dict[str, bytes] = {}
    for item in source.get("items") or ():
        if field := item.get("fieldRef"):
            files[item["path"]] = field_text(pod, field["fieldPath"], place).encode()
        elif resource := item.get("resourceFieldRef"):
            files[item["path"]] = resource_text(pod, {}, resource, place).encode()
    modes = {item["path"]: int(item["mode"]) for item in source.get("items") or () if item.get("mode") is not None}
    return Files(files, modes)


def _merged(parts: Sequence[Files], default_mode: int) -> Files:
    files: dict[str, bytes] = {}
    modes: dict[str, int] = {}
    for part in parts:
        files.update(part.files or {})
        modes.update(part.modes)
    return Files(files, modes, default_mode)


def _sources_of(volume: Mapping[str, Any]) -> Iterator[Source]:
    """A Secret is named `secretName` in a volume and `name` in a projection."""
    if (source := volume.get("configMap")) is not None:
        yield Source("configmaps", source.get("name", ""), bool(source.get("optional")))
    if (source := volume.get("secret")) is not None:
        yield Source("secrets", source.get("secretName") or source.get("name", ""), bool(source.get("optional")))
