"""How a kube-scheduler scored the nodes of a pod, from its log at -v=10: two forms, of before and after 1.21."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import NamedTuple

_NEW = re.compile(r'"Plugin scored node for pod" pod="([^"]+)" plugin="([^"]+)" node="([^"]+)" score=(-?\d+)')
_BETWEEN = re.compile(r'"Plugin scored nodes for pod" pod="([^"]+)" plugin="([^"]+)" scores=(.*)')
_OLD = re.compile(r"Plugin (\S+) scores on (\S+) => \[(.*)\]")
_GATED = re.compile(r'"Status after running PreEnqueue plugin" pod="([^"]+)" plugin="[^"]+" status="((?:[^"\\]|\\.)*)"')
_PAIR = re.compile(r"\{(?:Name:)?(\S+) (?:Score:)?(-?\d+)\}")


class Scores(NamedTuple):
    """Weighted. Empty where only one node would do: it is taken without being scored."""

    by_plugin: Mapping[str, Mapping[str, int]]

    @property
    def nodes(self) -> list[str]:
        return list(next(iter(self.by_plugin.values()), ()))

    @property
    def totals(self) -> Mapping[str, int]:
        total: Counter[str] = Counter(dict.fromkeys(self.nodes, 0))
        for scores in self.by_plugin.values():
            total.update(scores)
        return total


def read_scores(log: str, pod: str) -> Scores:
    """Of the last attempt for the pod (namespace/name)."""
    found: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for line in log.splitlines():
        if (match := _NEW.search(line)) and match[1] == pod:
            found[match[2]][match[3]] = int(match[4])
        elif (match := _BETWEEN.search(line)) and match[1] == pod:
            found[match[2]] = _pairs(match[3])
        elif (match := _OLD.search(line)) and match[2] == pod:
            found[match[1]] = _pairs(match[3])
    return Scores(dict(found))


def read_gate(log: str, pod: str) -> str:
    """Why the pod may not be tried yet, as it said last."""
    said = [match[2] for match in _GATED.finditer(log) if match[1] == pod]
    return said[-1].replace('\\"', '"') if said else ""


def _pairs(text: str) -> dict[str, int]:
    return {name: int(score) for name, score in _PAIR.findall(text)}
