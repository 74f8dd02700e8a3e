"""What REST clients have asked and how long it took, in numbers with kube-apiserver's labels. Pure.

Labels come from what is served, never from a URL alone: who asks for what there is not makes no new series.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from actorkube.runtime.histogram import Bounded
from actors.apiserver.access.attributes import Attributes
from actors.apiserver.rest.paths import Target

# Seconds: Kubernetes' buckets of apiserver_request_duration_seconds.
BOUNDS_S = (
    *(0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5),
    *(2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60),
)
CLIENT_GONE = 499  # nobody was there any more to be told a code
_VERBS = {"create": "POST", "update": "PUT"}
_METHODS = ("get", "head", "post", "put", "patch", "delete", "options")
_CONNECTS = ("attach", "exec", "portforward", "proxy")
_HELD = (*_CONNECTS, "log")
_READING = ("get", "list", "head", "options")


class Subject(NamedTuple):
    """What a request is about, as labels."""

    verb: str
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    scope: str = ""


class Counts:
    """`answers` by (subject, code, dry run), `durations` by (subject, dry run); `in_flight` by kind and `held` by
    subject are open now. `deprecated`: what was asked for that is to go, by group, version, resource and subresource;
    in which release it goes."""

    def __init__(self) -> None:
        self.answers: Counter[tuple[Subject, int, str]] = Counter()
        self.durations: dict[tuple[Subject, str], Bounded] = {}
        self.in_flight: Counter[str] = Counter({"mutating": 0, "readOnly": 0})
        self.held: Counter[Subject] = Counter()
        self.deprecated: dict[tuple[str, str, str, str], str] = {}

    def copy(self) -> Counts:
        """What was counted until now."""
        other = Counts()
        other.answers, other.in_flight, other.held = self.answers.copy(), self.in_flight.copy(), self.held.copy()
        other.deprecated = dict(self.deprecated)
        other.durations = {key: each.copy() for key, each in self.durations.items()}
        return other


class Counted:
    """One request, from when it is known what it is about to its answer."""

    __slots__ = ("_counts", "_dry_run", "_kind", "_subject")

    def __init__(
        self, counts: Counts, asked: Attributes, target: Target | None, dry_run: bool, *, applies: bool = False
    ) -> None:
        self._counts = counts
        self._subject = subject_of(asked, target, applies=applies)
        self._kind = _kind_of(asked)
        self._dry_run = "All" if dry_run else ""
        if self._kind:
            counts.in_flight[self._kind] += 1
        else:
            counts.held[self._subject] += 1

    def is_of_old(self, removed_release: str) -> None:
        """What it asks for is deprecated."""
        of = self._subject
        self._counts.deprecated[of.group, of.version, of.resource, of.subresource] = removed_release

    def end(self, code: int, took_s: float) -> None:
        counts, subject = self._counts, self._subject
        if self._kind:
            counts.in_flight[self._kind] -= 1
        else:
            counts.held[subject] -= 1
            code = 200 if code == CLIENT_GONE else code  # that is how a watch ends
        counts.answers[subject, code, self._dry_run] += 1
        key = subject, self._dry_run
        found = counts.durations.get(key) or counts.durations.setdefault(key, Bounded(BOUNDS_S))
        found.observe(took_s)


def subject_of(asked: Attributes, target: Target | None, *, applies: bool = False) -> Subject:
    if target is None:
        known = bool(asked.resource) or asked.verb in _METHODS
        return Subject(_VERBS.get(asked.verb, asked.verb.upper()) if known else "other")
    of, name, within = target.resource, target.name, target.namespace
    verb = "APPLY" if applies and asked.verb == "patch" else _VERBS.get(asked.verb, asked.verb.upper())
    verb = "CONNECT" if target.subresource in _CONNECTS else verb
    scope = "resource" if name or asked.verb == "create" else "namespace" if within else "cluster"
    return Subject(verb, of.group, of.version, of.plural, target.subresource, scope)


def _kind_of(asked: Attributes) -> str:
    """Nothing for what is held open."""
    if asked.verb == "watch" or asked.subresource in _HELD:
        return ""
    return "readOnly" if asked.verb in _READING else "mutating"


class Told(NamedTuple):
    """`stored`: objects by (group, resource)."""

    counts: Counts
    stored: Mapping[tuple[str, str], int]
