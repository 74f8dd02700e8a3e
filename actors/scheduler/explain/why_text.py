"""Why, in words for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from actors.scheduler.explain.pods_in_the_way import named
from actors.scheduler.explain.remedy import Remedy
from actors.scheduler.explain.tables import aligned
from actors.scheduler.explain.why import Near, Obstacle, Scored, Why

_DIFFERENCES_MAX = 4


def lines(why: Why, score_table: bool = False) -> list[str]:
    found = [_headline(why), *_refused(why), *_altogether(why.altogether), *_nearest(why.nearest), *_words(why)]
    if score_table and why.scores:
        found += ["", *table(why)]
    return found


def table(why: Why) -> list[str]:
    """Weighted scores: a line a node, a column a plugin; what all have alike is left out."""
    plugins = [plugin for plugin in why.weights if any(plugin in scored.by_plugin for scored in why.scores)]
    head = ["NODE", *(f"{plugin} ×{why.weights[plugin]}" for plugin in plugins), "TOTAL"]
    rows = [
        [_marked(scored.node, why), *(str(scored.by_plugin.get(plugin, 0)) for plugin in plugins), str(scored.total)]
        for scored in why.scores
    ]
    return aligned([head, *rows])


def _marked(node: str, why: Why) -> str:
    return f"{node} *" if node == (why.node or why.best) else node


def _headline(why: Why) -> str:
    pod = f"pod {why.pod}"
    match why.verdict:
        case "placed":
            return f"{pod} is on {why.node}{_placed(why)}"
        case "fits":
            return f"{pod} waits, and {len(why.scores)} of {_nodes(why.nodes)} would do now; the best is {why.best}"
        case "pending":
            return f"{pod} waits: 0 of {_nodes(why.nodes)} will do" if why.nodes else f"{pod} waits: {why.message}"
        case "gated":
            return f"{pod} waits: {why.message}"
        case "deleting":
            return f"{pod} is being deleted, and no node is looked for"
        case "finished":
            return f"{pod} has ended" + (f" on {why.node}" if why.node else "")
        case "foreign":
            where = f" and is on {why.node}" if why.node else ""
            return f"{pod} asks for scheduler {why.message!r}, which has no profile here{where}"
        case "failed":
            return f"{pod} cannot be decided: {why.message}"


def _placed(why: Why) -> str:
    order = [scored.node for scored in why.scores]
    if why.node not in order:
        return "; as the cluster is now, it would not be put there again" if why.refused else ""
    total = {scored.node: scored for scored in why.scores}
    place, mine = order.index(why.node) + 1, total[why.node]
    if len(order) == 1:
        return f", the only one of {_nodes(why.nodes)} that will do"
    if mine.total == why.scores[0].total:
        other = next(scored for scored in why.scores if scored.node != why.node)
        return f", the best of {_nodes(len(order))} that will do ({_beside(mine, other)})"
    return (
        f"; as the cluster is now, {why.best} would be better, and it is number {place} of {len(order)} "
        f"({_beside(mine, why.scores[0])})"
    )


def _beside(mine: Scored, other: Scored) -> str:
    """`412 points; node-1 has 398: NodeResourcesFit 14 less`."""
    if mine.total == other.total:
        return f"{mine.total} points, as has {other.node}: one of them was drawn"
    more = {plugin: score - mine.by_plugin.get(plugin, 0) for plugin, score in other.by_plugin.items()}
    told = sorted((plugin for plugin in more if more[plugin]), key=lambda plugin: -abs(more[plugin]))
    parts = [f"{plugin} {abs(more[plugin])} {'more' if more[plugin] > 0 else 'less'}" for plugin in told]
    return f"{mine.total} points; {other.node} has {other.total}: {', '.join(parts[:_DIFFERENCES_MAX])}"


def _refused(why: Why) -> Iterator[str]:
    if not why.refused:
        return
    rows = [
        ["", str(each.nodes), each.plugin, each.reason, _examples(each.examples, each.nodes)] for each in why.refused
    ]
    head = ["", "NODES", "REFUSED BY", "BECAUSE", "SUCH AS"]
    yield from aligned([head, *rows], left={2, 3, 4})


def _examples(names: Sequence[str], number: int) -> str:
    return ", ".join(names) + (", ..." if number > len(names) else "")


def _altogether(remedies: Sequence[Remedy]) -> Iterator[str]:
    if remedies:
        yield "on whatever node, it would take:"
        yield from (f"  - {remedy.text}" for remedy in remedies)


def _nearest(nearest: Sequence[Near]) -> Iterator[str]:
    if not nearest:
        return
    first, *others = nearest
    tried = " (tried on a copy: then it fits)" if first.tried else ""
    yield f"nearest is {first.node}. It would take{tried}:"
    for obstacle in first.obstacles:
        yield from (f"  - {text}" for text in helpful(obstacle))
    if others:
        yield "next " + "; ".join(f"{near.node}: {_short(near)}" for near in others)


def helpful(obstacle: Obstacle) -> list[str]:
    if obstacle.remedies:
        return [remedy.text for remedy in obstacle.remedies]
    return [f"that {obstacle.plugin} accepts it ({', '.join(obstacle.reasons)})"]


def _short(near: Near) -> str:
    return ", plus ".join(text for obstacle in near.obstacles for text in helpful(obstacle))


def _words(why: Why) -> Iterator[str]:
    if why.preemption is not None:
        yield f"it would be given room on {why.preemption.node} by ending {named(why.preemption.victims)}"
    if why.verdict == "pending" and why.nodes:
        yield f"in the scheduler's words: {why.message}"
    if why.said and why.said != why.message and why.verdict in ("pending", "fits", "gated", "failed"):
        yield f"the scheduler last said: {why.said}"


def _nodes(number: int) -> str:
    return f"{number} node" if number == 1 else f"{number} nodes"
