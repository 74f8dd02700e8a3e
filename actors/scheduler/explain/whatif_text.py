"""Where pods would go, in words and bars for a terminal."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from actors.scheduler.explain.pods_in_the_way import named
from actors.scheduler.explain.remedies import quantity
from actors.scheduler.explain.tables import aligned
from actors.scheduler.explain.whatif import FIRST_RESOURCES, Ended, Load, Outcome, Unplaced, Use
from actors.scheduler.explain.why import Why
from actors.scheduler.explain.why_text import helpful, table

BAR = 20
NODES_SHOWN = 40
_PLACES_SHOWN = 8


def lines(outcome: Outcome, every_node: bool = False) -> list[str]:
    return [
        _headline(outcome),
        *_where(outcome),
        *_unplaced(outcome.unplaced),
        *_ended(outcome.ended),
        "",
        *_loads(outcome, every_node),
        *_scores(outcome.scored, every_node),
    ]


def _headline(outcome: Outcome) -> str:
    placed = len(outcome.placed)
    asked = placed + len(outcome.unplaced)
    return f"{placed} of {asked} {'pod' if asked == 1 else 'pods'} would find a node (seed {outcome.seed})"


def _where(outcome: Outcome) -> Iterator[str]:
    by_origin: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for each in outcome.placed:
        by_origin[each.origin][each.node] += 1
    if by_origin:
        yield ""
        rows = [[origin, str(nodes.total()), _places(nodes)] for origin, nodes in by_origin.items()]
        yield from aligned([["FROM", "PODS", "WHERE"], *rows], left={2})


def _places(nodes: Counter[str]) -> str:
    shown = [f"{node} ×{number}" if number > 1 else node for node, number in nodes.most_common(_PLACES_SHOWN)]
    more = len(nodes) - len(shown)
    return ", ".join(shown) + (f" and {more} more nodes" if more else "")


def _unplaced(unplaced: Sequence[Unplaced]) -> Iterator[str]:
    groups: defaultdict[tuple[str, str], list[Unplaced]] = defaultdict(list)
    for each in unplaced:
        groups[each.origin, each.message].append(each)
    if groups:
        yield ""
    for (origin, message), pods in groups.items():
        yield f"{origin}: none for {len(pods)} {'pod' if len(pods) == 1 else 'pods'}, such as {pods[0].pod}"
        yield f"  {message}"
        near = next((each.nearest[0] for each in pods if each.nearest), None)
        if near is not None:
            tried = " (tried: then the next one fits)" if near.tried else ""
            yield f"  nearest is {near.node}. It would take{tried}:"
            yield from (f"    - {text}" for obstacle in near.obstacles for text in helpful(obstacle))


def _ended(ended: Sequence[Ended]) -> Iterator[str]:
    by_pod: defaultdict[str, list[str]] = defaultdict(list)
    for each in ended:
        by_pod[each.by].append(each.pod)
    if by_pod:
        yield ""
    yield from (f"{by} is more important than {named(pods)}, which would end for it" for by, pods in by_pod.items())


def _loads(outcome: Outcome, every_node: bool) -> Iterator[str]:
    shown = outcome.nodes if every_node else outcome.nodes[:NODES_SHOWN]
    names = resources(outcome)
    rows = [_row(load, names) for load in (*shown, outcome.total)]
    yield from aligned([["NODE", "PODS", *(name.upper() for name in names)], *rows], left=range(2, 2 + len(names)))
    if len(shown) < len(outcome.nodes):
        yield f"{len(outcome.nodes) - len(shown)} more nodes: see them with --all-nodes, or -o json"


def _scores(scored: Mapping[str, Why], every_node: bool) -> Iterator[str]:
    """The first pod of each origin, on the cluster as it was when that was decided."""
    for origin, why in scored.items():
        shown = why.scores if every_node else why.scores[:NODES_SHOWN]
        yield from ("", f"{origin}: the scores when {why.pod} was placed", *table(replace(why, scores=shown)))
        if len(shown) < len(why.scores):
            yield f"{len(why.scores) - len(shown)} more nodes that would do: see them with --all-nodes, or -o json"


def resources(outcome: Outcome) -> list[str]:
    """CPU, memory, and what else is asked for by a pod."""
    others = [name for name, use in outcome.total.resources.items() if use.after and name != "pods"]
    return [*FIRST_RESOURCES, *sorted(name for name in others if name not in FIRST_RESOURCES)]


def _row(load: Load, names: Sequence[str]) -> list[str]:
    pods = load.resources.get("pods", Use(0, 0, 0))
    uses = [load.resources.get(name, Use(0, 0, 0)) for name in names]
    shown = [
        f"{bar(use)} {share(use)} of {quantity(name, use.capacity)}" for name, use in zip(names, uses, strict=True)
    ]
    return [load.node, f"{pods.before}→{pods.after}", *shown]


def bar(use: Use) -> str:
    """`[###++.....]`: taken before, added, free; `[###--.....]` where pods have to go."""
    before, after = _cells(use.before, use.capacity), _cells(use.after, use.capacity)
    kept, most = min(before, after), max(before, after)
    change = "+" if after > before else "-"
    return f"[{'#' * kept}{change * (most - kept)}{'.' * (BAR - most)}]"


def _cells(taken: int, capacity: int) -> int:
    return min(BAR, round(BAR * taken / capacity)) if capacity else 0


def share(use: Use) -> str:
    if not use.capacity:
        return "-"
    before, after = (100 * taken // use.capacity for taken in (use.before, use.after))
    return f"{before:3d}→{after:3d} %"
