"""What a namespace's labels ask of its pods: a level and a version of the standards for each of three modes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from actors.apiserver.rules.field import FieldErrors, invalid_value

Mode = Literal["enforce", "audit", "warn"]

LEVELS = ("privileged", "baseline", "restricted")  # each stricter than the one before
MODES: tuple[Mode, ...] = ("enforce", "audit", "warn")
LATEST = 10_000
_PREFIX = "pod-security.kubernetes.io/"
_VERSION = re.compile(r"v1\.(0|[1-9][0-9]{0,3})")


class Standard(NamedTuple):
    """A level, and the minor version of Kubernetes whose rules it means."""

    level: str
    version: int

    def __str__(self) -> str:
        return f"{self.level}:{'latest' if self.version == LATEST else f'v1.{self.version}'}"

    @property
    def strictness(self) -> int:
        return LEVELS.index(self.level)


class Policy(NamedTuple):
    enforce: Standard
    audit: Standard
    warn: Standard


PRIVILEGED = Standard("privileged", LATEST)


def policy_of(labels: Mapping[str, str]) -> Policy:
    """What labels mean that cannot be read: restricted where it is enforced, nothing where it is only told."""
    enforce = _standard(labels, "enforce", "restricted")
    audit, warn = _standard(labels, "audit", "privileged"), _standard(labels, "warn", "privileged")
    explicit = labels.get(f"{_PREFIX}enforce") in LEVELS and f"{_PREFIX}warn" not in labels
    if explicit and enforce.strictness > warn.strictness:
        version = warn.version if f"{_PREFIX}warn-version" in labels else enforce.version
        warn = Standard(enforce.level, version)
    return Policy(enforce, audit, warn)


def label_errors(labels: Mapping[str, str]) -> FieldErrors:
    for label, value, problem in _problems(labels):
        yield invalid_value(f"metadata.labels[{label}]", value, problem)


def _standard(labels: Mapping[str, str], mode: Mode, unreadable: str) -> Standard:
    level = labels.get(f"{_PREFIX}{mode}", "privileged")
    version = labels.get(f"{_PREFIX}{mode}-version", "latest")
    match = _VERSION.fullmatch(version)
    return Standard(level if level in LEVELS else unreadable, int(match[1]) if match else LATEST)


def _problems(labels: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    for mode in MODES:
        label = f"{_PREFIX}{mode}"
        if label in labels and labels[label] not in LEVELS:
            yield label, labels[label], f"must be one of {', '.join(LEVELS)}"
        version = labels.get(f"{label}-version", "latest")
        if version != "latest" and not _VERSION.fullmatch(version):
            yield f"{label}-version", version, 'must be "latest" or "v1.x"'
