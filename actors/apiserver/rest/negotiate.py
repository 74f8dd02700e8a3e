"""Content negotiation: in which form an answer goes out, and in which form a body came in."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Literal, NamedTuple

from actorkube.kube.media_ranges import accepted
from protocols.errors import NotAcceptable, UnsupportedMediaType

JSON = "application/json"
YAML = "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"
JSON_PATCH = "application/json-patch+json"

As = Literal["", "Table", "PartialObjectMetadata", "PartialObjectMetadataList"]

_STREAMS = (f"{JSON};stream=watch", f"{PROTOBUF};stream=watch")
_TRANSFORMS = ("Table", "PartialObjectMetadata", "PartialObjectMetadataList")
_TRANSFORM_VERSIONS = ("v1", "v1beta1")


class Output(NamedTuple):
    """The form of an answer: its media type, and whether the object is shown as something else."""

    media_type: str = JSON
    as_kind: As = ""
    as_version: str = "v1"


@lru_cache(maxsize=256)
def negotiate(accept: str, *, protobuf: bool = False, streams: bool = False) -> Output:
    """The first form the client accepts that there is. Raises NotAcceptable. Clients send few different headers.

    `protobuf`: whether there is that, too; it is given to those who accept nothing else. There is of metadata always.
    `streams`: whether there may be a watch.
    """
    ranges = accepted(accept)
    for media in ranges:
        form = _MEDIA_TYPES.get(media.media_type)
        if form is None:
            continue
        wanted = media.params.get("as", "")
        if not wanted:
            return Output(form)
        if wanted in _TRANSFORMS and media.params.get("g") == "meta.k8s.io":
            version = media.params.get("v", "v1")
            if version in _TRANSFORM_VERSIONS:
                return Output(form, wanted, version)  # type: ignore[arg-type]
    for media in ranges if protobuf else ():
        if media.media_type == PROTOBUF and "as" not in media.params:
            return Output(PROTOBUF)
    for media in ranges:
        if media.media_type == PROTOBUF and _wants_metadata(media.params):
            return Output(PROTOBUF, media.params["as"])  # type: ignore[arg-type]
    kinds = ", ".join([JSON, YAML, PROTOBUF] if protobuf else [JSON, YAML])
    if any(media.media_type in _MEDIA_TYPES for media in ranges):  # but not as what was asked for
        raise NotAcceptable(f"only the following media types are accepted: {kinds}")
    kinds = ", ".join([kinds, *_STREAMS]) if streams else kinds
    raise NotAcceptable(f"406: Not Acceptable\n\nAvailable representations: {kinds}")


def _wants_metadata(params: Mapping[str, str]) -> bool:
    wanted = params.get("as", ""), params.get("g"), params.get("v", "v1")
    return wanted[0].startswith("PartialObjectMetadata") and wanted[1:] == ("meta.k8s.io", "v1")


def check_form(output: Output, group: str, kind: str, *, is_custom: bool, is_list: bool, watches: bool) -> None:
    """Whether what is read can be shown like that: a list is no object, and YAML no stream. Raises NotAcceptable."""
    if watches:
        if output.media_type == YAML:
            raise NotAcceptable(f"only the following media types are accepted: {', '.join(_STREAMS)}")
        return
    package = "unstructured" if is_custom else group.partition(".")[0] or "core"
    name = "Unstructured" if is_custom else kind
    if is_list and output.as_kind == "PartialObjectMetadata":
        shown = f"*{package}.{name}List"
        raise NotAcceptable(f"you requested {output.as_kind}, but the requested object is a list ({shown})")
    if not is_list and output.as_kind == "PartialObjectMetadataList":
        shown = f"*{package}.{name}"
        raise NotAcceptable(f"you requested {output.as_kind}, but the requested object is not a list ({shown})")


def negotiate_plainly(accept: str, *, listed: bool) -> Output:
    """The same for what is shown as nothing else, as discovery is. `listed`: Kubernetes lists there what it has, takes
    no other words for it, and refuses in words of its own."""
    ranges = accepted(accept)
    known = {**_MEDIA_TYPES, PROTOBUF: PROTOBUF}
    if listed:
        del known["application/*"]
    for media in ranges:
        form = known.get(media.media_type)
        if form is not None and "as" not in media.params:
            return Output(form)
    kinds = ", ".join([JSON, YAML, PROTOBUF])
    if listed and not any(media.media_type in known for media in ranges):
        raise NotAcceptable(f"406: Not Acceptable\n\nAvailable representations: {kinds}")
    raise NotAcceptable(f"only the following media types are accepted: {kinds}")


def media_type_of(content_type: str, default: str = JSON) -> str:
    return content_type.partition(";")[0].strip().lower() or default


def unsupported(supported: list[str]) -> UnsupportedMediaType:
    return UnsupportedMediaType(
        f"the body of the request was in an unknown format - accepted media types include: {', '.join(supported)}"
    )


_MEDIA_TYPES = {
    JSON: JSON,
    "*/*": JSON,
    "application/*": JSON,
    YAML: YAML,
    "application/x-yaml": YAML,
    "text/yaml": YAML,
}
