"""/statusz and /flagz: since when a component runs, and with which flags. As text for people, as JSON or YAML for tools
that name one of the versions (`application/json;v=v1beta1;g=config.k8s.io;as=Statusz`). Pure. KEP-4827, KEP-4828.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterable, Mapping
from time import gmtime, strftime
from typing import NamedTuple

from actorkube import __version__
from actorkube.kube.media_ranges import accepted
from protocols.errors import NotAcceptable
from protocols.objects import Object
from protocols.rules.times import time_of

PATHS = ("/flagz", "/statusz")
SINCE = 36  # the minor version that serves them unless told otherwise
TEXT = "text/plain; charset=utf-8"

_WARNING = (
    "Warning: This endpoint is not meant to be machine parseable, has no formatting compatibility guarantees"
    " and is for debugging purposes only.\n"
)
_FORMS = ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf", "text/plain")
_GROUP = "config.k8s.io"
_VERSIONS = ("v1alpha1", "v1beta1")
_NO_DEBUGGING = ("/api", "/apis", "/openapi", "/openid", "/.well-known")


class ZPage(NamedTuple):
    body: bytes
    content_type: str


class ZPages:
    """Of one component. `version`: of Kubernetes ("1.36"). `flags`: by their names on Kubernetes' command line."""

    def __init__(self, component: str, version: str, started_at: float, flags: Callable[[], Mapping[str, str]]) -> None:
        self.paths = PATHS if int(version.partition(".")[2]) >= SINCE else ()
        self._component = component
        self._version = version
        self._started_at = started_at
        self._flags = flags

    def find(self, path: str, accept: str, now: float, paths: Iterable[str]) -> ZPage | None:
        """None where there is no such page. `paths`: all that the component serves. Raises NotAcceptable."""
        if path not in self.paths:
            return None
        kind = path[1:].capitalize()
        media_type, version = _negotiated(accept, kind)
        if media_type == "text/plain":
            head = f"\n{self._component} {path[1:]}\n{_WARNING}"
            told = self._status_text(now, paths) if kind == "Statusz" else self._flags_text()
            return ZPage(f"{head}{told}".encode(), TEXT)
        said = self._status(now, paths) if kind == "Statusz" else {"flags": dict(sorted(self._flags().items()))}
        described = {"kind": kind, "apiVersion": f"{_GROUP}/{version}", "metadata": {"name": self._component}}
        content_type = f"{media_type};g={_GROUP};v={version};as={kind}"
        return ZPage(_encoded({**described, **said}, media_type), content_type)

    def _status(self, now: float, paths: Iterable[str]) -> Object:
        return {
            "startTime": time_of(self._started_at),
            "uptimeSeconds": max(int(now - self._started_at), 0),
            "goVersion": f"{platform.python_implementation()} {platform.python_version()}",
            "binaryVersion": f"{self._version}.0+actorkube-{__version__}",
            "emulationVersion": self._version,
            "paths": sorted({f"/{path.split('/')[1]}" for path in paths if path != "/"}.difference(_NO_DEBUGGING)),
        }

    def _status_text(self, now: float, paths: Iterable[str]) -> str:
        status = self._status(now, paths)
        up_s = status["uptimeSeconds"]
        lines = {
            "Started": strftime("%a %b %e %H:%M:%S UTC %Y", gmtime(self._started_at)),
            "Up": f"{up_s // 3600} hr {up_s // 60 % 60:02} min {up_s % 60:02} sec",
            "Go version": status["goVersion"],
            "Binary version": status["binaryVersion"],
            "Emulation version": status["emulationVersion"],
            "Paths": " ".join(status["paths"]),
        }
        return "\n" + "".join(f"{name}: {value}\n" for name, value in lines.items())

    def _flags_text(self) -> str:
        return "\n" + "".join(f"{name}={value}\n" for name, value in sorted(self._flags().items()))


def _negotiated(accept: str, kind: str) -> tuple[str, str]:
    """Media type and version. JSON without a version is not given: whoever reads it by a program is to name one."""
    for media in accepted(accept):
        asked = media.params
        if media.media_type in ("text/plain", "text/*", "*/*") and "as" not in asked:
            return "text/plain", ""
        if media.media_type in ("application/json", "application/yaml", "application/*", "*/*"):
            named = (asked.get("g"), asked.get("as")) == (_GROUP, kind) and asked.get("v") in _VERSIONS
            if named:
                return "application/yaml" if media.media_type == "application/yaml" else "application/json", asked["v"]
    raise NotAcceptable(f"only the following media types are accepted: {', '.join(_FORMS)}")


def _encoded(document: Object, media_type: str) -> bytes:
    if media_type == "application/json":
        return json.dumps(document, separators=(",", ":")).encode() + b"\n"
    import yaml  # hardly anybody asks for it

    return str(yaml.safe_dump(document)).encode()
