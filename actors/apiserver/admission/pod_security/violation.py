"""How a check says what a pod violates, and who in the pod does it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

Spec = dict[str, Any]


class Violation(NamedTuple):
    reason: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.reason} ({self.detail})" if self.detail else self.reason


def containers(spec: Spec) -> Iterator[dict[str, Any]]:
    """All that run in a pod, in the order in which they are reported."""
    for field in ("initContainers", "containers", "ephemeralContainers"):
        yield from spec.get(field) or ()


def security(holder: dict[str, Any]) -> dict[str, Any]:
    """The security context of a pod's spec or of a container."""
    found: dict[str, Any] = holder.get("securityContext") or {}
    return found


def culprits(spec: Spec, is_bad: Callable[[dict[str, Any]], bool]) -> list[str]:
    return [container["name"] for container in containers(spec) if is_bad(container)]


def setters(spec: Spec, is_bad: Callable[[dict[str, Any]], bool]) -> list[str]:
    """Of the pod itself and its containers, who has a security context that is bad: `pod`, `container "a"`."""
    bad = culprits(spec, lambda container: is_bad(security(container)))
    return [*(["pod"] if is_bad(security(spec)) else []), *([named(bad)] if bad else [])]


def named(names: list[str], word: str = "container") -> str:
    return f"{plural(word, names)} {quoted(names)}"


def plural(word: str, things: Iterable[object]) -> str:
    return word if len(list(things)) == 1 else f"{word}s"


def use(users: list[str]) -> str:
    return "uses" if len(users) == 1 else "use"


def quoted(texts: Iterable[str]) -> str:
    return ", ".join(f'"{text}"' for text in texts)
