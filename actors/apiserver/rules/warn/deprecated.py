"""What is to be written otherwise: labels of nodes, annotations, kinds of volumes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_LABELS = {
    "beta.kubernetes.io/arch": ("v1.14", "kubernetes.io/arch"),
    "beta.kubernetes.io/os": ("v1.14", "kubernetes.io/os"),
    "failure-domain.beta.kubernetes.io/region": ("v1.17", "topology.kubernetes.io/region"),
    "failure-domain.beta.kubernetes.io/zone": ("v1.17", "topology.kubernetes.io/zone"),
    "beta.kubernetes.io/instance-type": ("v1.17", "node.kubernetes.io/instance-type"),
}
VOLUMES = {
    "gitRepo": "deprecated in v1.11, and disabled by default in v1.33+",
    "photonPersistentDisk": "deprecated in v1.11, non-functional in v1.16+",
    "scaleIO": "deprecated in v1.16, non-functional in v1.22+",
    "flocker": "deprecated in v1.22, non-functional in v1.25+",
    "storageos": "deprecated in v1.22, non-functional in v1.25+",
    "quobyte": "deprecated in v1.22, non-functional in v1.25+",
    "glusterfs": "deprecated in v1.25, non-functional in v1.26+",
    "cephfs": "deprecated in v1.28, non-functional in v1.31+",
    "rbd": "deprecated in v1.28, non-functional in v1.31+",
}


def label(key: str) -> str:
    """What there is to say about a node's label; "" for nothing."""
    found = _LABELS.get(key)
    return f'deprecated since {found[0]}; use "{found[1]}" instead' if found else ""


def volume(field: str, source: Mapping[str, Any]) -> Iterator[str]:
    for kind in source:
        if kind in VOLUMES:
            yield f"{field}.{'storageOS' if kind == 'storageos' else kind}: {VOLUMES[kind]}"


def terms(field: str, listed: list[dict[str, Any]] | None) -> Iterator[str]:
    """Of a node selector."""
    for index, term in enumerate(listed or ()):
        yield from term_keys(f"{field}[{index}]", term)


def term_keys(field: str, term: Mapping[str, Any]) -> Iterator[str]:
    for index, expression in enumerate(term.get("matchExpressions") or ()):
        key = expression.get("key") or ""
        if text := label(key):
            yield f"{field}.matchExpressions[{index}].key: {key} is {text}"
