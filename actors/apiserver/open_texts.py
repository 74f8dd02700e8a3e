"""Texts of a pod that decide nothing: pods of one template may each have their own, and are alike all the same.

A variable's value, what a label or an annotation says, and the host name: an index of a job's or a stateful set's pod,
a seed, an address. Whether such a text may stand there is said by itself alone. What is empty, long, or not allowed is
no such text, and annotations that Kubernetes gives a meaning are not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from actors.apiserver.rules import names
from protocols.objects import Object

OPEN_MAX = 64
TEXT_LENGTH_MAX = 1024
_OWNED = ("kubernetes.io/", "k8s.io/")
_INDEX = "batch.kubernetes.io/job-completion-index"  # an annotation that only says which pod it is
_HOLE = 1  # the code of an extension type of MessagePack: no text is one

_Says = Callable[[str], bool]


def opened(body: Object) -> tuple[Object, tuple[str, ...]]:
    """The body with holes where such texts were, and the texts. The body itself stays as it is."""
    taking, found = _Taking(), dict(body)
    if isinstance(metadata := body.get("metadata"), dict):
        found["metadata"] = metadata = {**metadata}
        taking.values(metadata, "labels", _is_label)
        taking.values(metadata, "annotations", _is_any, _means_nothing)
    if isinstance(spec := body.get("spec"), dict):
        found["spec"] = spec = {**spec}
        taking.text(spec, "hostname", _is_host)
        for key in ("initContainers", "containers"):
            taking.variables(spec, key)
    return found, tuple(taking.texts)


def closed(value: Any, texts: Sequence[str]) -> Any:
    """What was opened, with these texts."""
    if isinstance(value, dict):
        return {key: closed(each, texts) for key, each in value.items()}
    if isinstance(value, list):
        return [closed(each, texts) for each in value]
    if isinstance(value, msgspec.msgpack.Ext) and value.code == _HOLE:
        return texts[bytes(value.data)[0]]
    return value


class _Taking:
    """What is given is a copy, and is changed."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def text(self, of: dict[str, Any], key: str, is_free: _Says) -> None:
        text = of.get(key)
        if not (isinstance(text, str) and text and len(text) <= TEXT_LENGTH_MAX and text.isascii() and is_free(text)):
            return
        if len(self.texts) < OPEN_MAX:
            of[key] = msgspec.msgpack.Ext(_HOLE, bytes((len(self.texts),)))
            self.texts.append(text)

    def values(self, of: dict[str, Any], key: str, is_free: _Says, is_meant: _Says | None = None) -> None:
        if not isinstance(values := of.get(key), dict):
            return
        of[key] = values = {**values}
        for name in values:
            if is_meant is None or is_meant(name):
                self.text(values, name, is_free)

    def variables(self, spec: dict[str, Any], key: str) -> None:
        """The values that the variables of these containers have."""
        if key in spec:
            spec[key] = _each(spec[key], self._container)

    def _container(self, container: Mapping[str, Any]) -> dict[str, Any]:
        return {**container, "env": _each(container["env"], self._variable)} if "env" in container else {**container}

    def _variable(self, variable: Mapping[str, Any]) -> dict[str, Any]:
        found = {**variable}
        self.text(found, "value", _refers_to_nothing)
        return found


def _each(values: Any, change: Callable[[Mapping[str, Any]], dict[str, Any]]) -> Any:
    if not isinstance(values, list):
        return values
    return [change(each) if isinstance(each, dict) else each for each in values]


def _is_any(text: str) -> bool:
    return True


def _refers_to_nothing(value: str) -> bool:
    """Of a variable: whether it takes up another one decides what is warned of."""
    return "$(" not in value


def _is_label(text: str) -> bool:
    return not any(names.label_value(text))


def _is_host(text: str) -> bool:
    return not any(names.dns_label(text))


def _means_nothing(annotation: str) -> bool:
    return annotation == _INDEX or not any(owner in annotation for owner in _OWNED)
