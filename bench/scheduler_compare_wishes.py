"""What a random pod asks of the nodes and of the pods on them: selectors, tolerations, affinity, spreading."""

from __future__ import annotations

import random
from typing import Any

from bench.scheduler import HOST, LATER, ZONE

APPS = ("web", "db", "cache")
TIERS = ("front", "back")
RACK = "rack"
REQUIRED, PREFERRED = "requiredDuringScheduling" + LATER, "preferredDuringScheduling" + LATER


def wishes(draw: random.Random) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if draw.random() < 0.5:
        found["tolerations"] = [_toleration(draw) for _ in range(draw.randint(1, 3))]
    if draw.random() < 0.1:
        found["nodeSelector"] = {"disk": draw.choice(["ssd", "hdd"])}
    if draw.random() < 0.35:
        kinds = draw.sample([(HOST, 0), (ZONE, 0), (RACK, 0), (ZONE, 1)], draw.randint(1, 2))
        found["topologySpreadConstraints"] = [_spread(draw, key, bool(hard)) for key, hard in kinds]
    affinity: dict[str, Any] = {}
    if draw.random() < 0.25:
        affinity["nodeAffinity"] = _node_affinity(draw)
    for kind in ("podAffinity", "podAntiAffinity"):
        if draw.random() < 0.2:
            affinity[kind] = _pod_affinity(draw, kind)
    if affinity:
        found["affinity"] = affinity
    return found


def selector(draw: random.Random) -> dict[str, Any]:
    match draw.randrange(6):
        case 0:
            return {}
        case 1:
            return {"matchExpressions": [{"key": "app", "operator": "In", "values": draw.sample(APPS, 2)}]}
        case 2:
            return {"matchExpressions": [{"key": "tier", "operator": draw.choice(["Exists", "DoesNotExist"])}]}
        case 3:
            return {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": [draw.choice(APPS)]}]}
        case _:
            return {"matchLabels": {"app": draw.choice(APPS)}}


def _toleration(draw: random.Random) -> dict[str, Any]:
    found: dict[str, Any] = draw.choice(
        [
            {"key": "kept", "operator": "Exists"},
            {"key": "kept", "operator": "Equal", "value": draw.choice(["for", "from"])},
            {"key": "old", "operator": "Exists"},
            {"key": "old", "value": "very"},
        ]
    )
    if draw.random() < 0.6:
        found["effect"] = draw.choice(["NoSchedule", "PreferNoSchedule", "NoExecute"])
    return found


def _spread(draw: random.Random, key: str, hard: bool) -> dict[str, Any]:
    found = {
        "topologyKey": key,
        "maxSkew": draw.choice([1, 1, 2, 5]),
        "whenUnsatisfiable": "DoNotSchedule" if hard else "ScheduleAnyway",
        "labelSelector": selector(draw),
    }
    if hard and draw.random() < 0.3:
        found["minDomains"] = draw.randint(1, 5)
    if draw.random() < 0.3:
        found["nodeAffinityPolicy"] = draw.choice(["Honor", "Ignore"])
    if draw.random() < 0.3:
        found["nodeTaintsPolicy"] = draw.choice(["Honor", "Ignore"])
    if draw.random() < 0.3 and "tier" not in str(found["labelSelector"]):
        found["matchLabelKeys"] = ["tier"]
    return found


def _node_affinity(draw: random.Random) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if draw.random() < 0.5:
        found[REQUIRED] = {"nodeSelectorTerms": [_node_term(draw) for _ in range(draw.randint(1, 2))]}
    if not found or draw.random() < 0.5:
        found[PREFERRED] = [
            {"weight": draw.choice([1, 40, 100]), "preference": _node_term(draw)} for _ in range(draw.randint(1, 3))
        ]
    return found


def _node_term(draw: random.Random) -> dict[str, Any]:
    if draw.random() < 0.1:
        field = {"key": "metadata.name", "operator": draw.choice(["In", "NotIn"]), "values": ["compared-1"]}
        return {"matchFields": [field]}
    expressions: list[dict[str, Any]] = [
        {"key": "disk", "operator": draw.choice(["In", "NotIn"]), "values": ["ssd"]},
        {"key": ZONE, "operator": "In", "values": ["zone-0", "zone-2"]},
        {"key": ZONE, "operator": draw.choice(["Exists", "DoesNotExist"])},
        {"key": "age", "operator": draw.choice(["Gt", "Lt"]), "values": ["4"]},
    ]
    return {"matchExpressions": draw.sample(expressions, draw.randint(1, 2))}


def _pod_affinity(draw: random.Random, kind: str) -> dict[str, Any]:
    if draw.random() < (0.3 if kind == "podAffinity" else 0.4):
        return {REQUIRED: [_pod_term(draw)]}
    return {
        PREFERRED: [
            {"weight": draw.choice([1, 10, 50, 100]), "podAffinityTerm": _pod_term(draw)}
            for _ in range(draw.randint(1, 2))
        ]
    }


def _pod_term(draw: random.Random) -> dict[str, Any]:
    found: dict[str, Any] = {"topologyKey": draw.choice([HOST, ZONE, ZONE, RACK]), "labelSelector": selector(draw)}
    match draw.randrange(6):
        case 0:
            found["namespaces"] = ["default", "other"]
        case 1:
            found["namespaceSelector"] = draw.choice([{}, {"matchLabels": {"team": "blue"}}])
        case 2 if "tier" not in str(found["labelSelector"]):
            found[draw.choice(["matchLabelKeys", "mismatchLabelKeys"])] = ["tier"]
    return found
