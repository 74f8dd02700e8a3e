"""300 random clusters with the real kube-scheduler's answers (v1.36, default profile), one a line of a JSON file.

`steps` happen in order on that cluster: `{"pod", "place", "answer"}` asks for a decision and then places the pod on
`place` ("" is nowhere); `{"remove": name}` deletes a placed pod. Another file of the same form is named by the
environment variable ACTORKUBE_SCHEDULER_FIXTURES.
"""

from __future__ import annotations

import gzip
import json
import os
from functools import cache
from pathlib import Path
from typing import Any

BUNDLED = Path(__file__).parent.parent / "data" / "scheduler_clusters.jsonl.gz"


@cache
def clusters() -> list[dict[str, Any]]:
    path = Path(os.environ.get("ACTORKUBE_SCHEDULER_FIXTURES") or BUNDLED)
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
        return [json.loads(line) for line in lines]


def key_of_removed(cluster: dict[str, Any], step: dict[str, Any]) -> str:
    """`{"remove": name}` says no namespace: that of the pod of this name."""
    pods = (step["pod"]["metadata"] for step in cluster["steps"] if "pod" in step)
    (namespace,) = {pod["namespace"] for pod in pods if pod["name"] == step["remove"]}
    return f"{namespace}/{step['remove']}"


def difference(found: dict[str, int], expected: dict[str, int]) -> int | None:
    """The constant by which all totals differ (what a plugin that skips the pod leaves out); None if it is none."""
    differences = {found[name] - total for name, total in expected.items()} or {0}
    return differences.pop() if len(differences) == 1 else None
