"""What a stored role or binding of the default policy lacks. As Kubernetes' `kubectl auth reconcile` and its own start:

missing rules, subjects, labels and annotations are added; nothing is taken away; who says "no" is left alone.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

from actors.apiserver.access.policy.table import AUTO_UPDATE
from actors.apiserver.access.rules import document_of, missing, rule_of
from protocols.objects import Object, meta, namespace_of


class New(Enum):
    NEW = "delete it and make it anew"


NEW = New.NEW


def reconciled(stored: Object, wanted: Object) -> Object | New | None:
    """What it is to become; None where nothing is missing, NEW where it cannot be changed into what it must be."""
    if (meta(stored).get("annotations") or {}).get(AUTO_UPDATE) == "false":
        return None
    if "roleRef" in wanted and stored.get("roleRef") != wanted["roleRef"]:
        return NEW
    amended = {**stored, "metadata": _metadata(stored, wanted)}
    if "roleRef" in wanted:
        amended["subjects"] = _subjects(stored, wanted)
    elif "aggregationRule" in wanted:
        amended["aggregationRule"] = _aggregation(stored, wanted)
    else:
        amended["rules"] = _rules(stored, wanted)
    return amended if _content(amended) != _content(stored) else None


def _content(obj: Object) -> dict[str, Any]:
    return {key: value for key, value in obj.items() if value}


def _metadata(stored: Object, wanted: Object) -> dict[str, Any]:
    metadata = {**meta(stored)}
    for key in ("labels", "annotations"):
        metadata[key] = {**(meta(wanted).get(key) or {}), **(metadata.get(key) or {})}
    return metadata


def _rules(stored: Object, wanted: Object) -> list[dict[str, Any]]:
    rules = list(stored.get("rules") or ())
    if rules == wanted.get("rules"):  # as almost always: nothing has to be looked at rule by rule
        return rules
    lacking = missing([rule_of(rule) for rule in rules], [rule_of(rule) for rule in wanted.get("rules") or ()])
    return [*rules, *map(document_of, lacking)]


def _subjects(stored: Object, wanted: Object) -> list[dict[str, Any]]:
    subjects = list(stored.get("subjects") or ())
    namespace = namespace_of(stored)
    known = [_subject(subject, namespace) for subject in subjects]
    return subjects + [each for each in wanted.get("subjects") or () if _subject(each, namespace) not in known]


def _subject(subject: dict[str, Any], namespace: str) -> tuple[str, str, str]:
    kind = str(subject.get("kind"))
    where = subject.get("namespace") or namespace if kind == "ServiceAccount" else ""
    return kind, str(subject.get("name")), str(where)


def _aggregation(stored: Object, wanted: Object) -> dict[str, Any]:
    selectors = list((stored.get("aggregationRule") or {}).get("clusterRoleSelectors") or ())
    lacking = [each for each in wanted["aggregationRule"]["clusterRoleSelectors"] if each not in selectors]
    return {"clusterRoleSelectors": [*selectors, *lacking]}
