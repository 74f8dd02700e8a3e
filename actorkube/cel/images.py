"""References to container images, as registries' clients read them.

(k8s.io/apiserver/pkg/cel/library/image.go; what is left out is filled in as go-containerregistry does.)
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

_REGISTRY, _ALIAS, _LIBRARY, _TAG = "index.docker.io", "docker.io", "library", "latest"
_REPOSITORY = re.compile(r"(?=.{2,255}\Z)[a-z0-9_.-]+(/[a-z0-9_.-]+)*")
_TAGS = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
Image = dict[str, dict[str, str]]


def _image(text: str) -> Image:
    """Raises ValueError."""
    rest, at, digest = text.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise ValueError(f"could not parse reference: {text}")
    base, colon, tag = rest.rpartition(":")
    if not colon or "/" in tag:  # a colon before a slash is that of a port
        base, tag = rest, ""
    if tag and not _TAGS.fullmatch(tag):
        raise ValueError(f"could not parse reference: {text}")
    registry, repository = _place(base, text)
    named = {"tag": "", "digest": digest} if digest else {"tag": tag or _TAG, "digest": ""}
    return {"Image": {"registry": registry, "repository": repository, **named}}


def _place(base: str, text: str) -> tuple[str, str]:
    """A first part is a registry if it looks like a host. What has only one name is of the default one's library."""
    first, slash, rest = base.partition("/")
    is_host = bool(slash) and ("." in first or ":" in first or first == "localhost")
    registry, repository = (first, rest) if is_host else ("", base)
    if not _REPOSITORY.fullmatch(repository) or (registry and urlsplit(f"//{registry}").netloc != registry):
        raise ValueError(f"could not parse reference: {text}")
    if registry in ("", _ALIAS):
        registry = _REGISTRY
    if registry == _REGISTRY and "/" not in repository:
        repository = f"{_LIBRARY}/{repository}"
    return registry, repository


def _is_image(text: str) -> bool:
    try:
        _image(text)
    except ValueError:
        return False
    return True


def _part(name: str) -> Callable[[Image], str]:
    return lambda image: image["Image"][name]


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "image(string) -> Image": _image,
    "isImage(string) -> bool": _is_image,
    "Image.containsDigest() -> bool": lambda image: bool(image["Image"]["digest"]),
    "Image.registry() -> string": _part("registry"),
    "Image.repository() -> string": _part("repository"),
    "Image.identifier() -> string": lambda image: image["Image"]["digest"] or image["Image"]["tag"],
    "Image.tag() -> string": _part("tag"),
    "Image.digest() -> string": _part("digest"),
}
