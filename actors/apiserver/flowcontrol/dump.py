"""/debug/api_priority_and_fairness/...: who waits where, in the columns that Kubernetes shows. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from actors.apiserver.flowcontrol.levels import Level, Levels, Place
from actors.apiserver.flowcontrol.queueset import ESTIMATE_S

_Row = tuple[object, ...]


def dump(what: str, levels: Levels) -> str | None:
    """`dump_priority_levels`, `dump_queues` or `dump_requests` (those that wait); None for what there is not."""
    rows = _DUMPS.get(what)
    if rows is None:
        return None
    return "".join(",\t".join(map(_text, row)) + "\n" for row in rows(levels))


def _priority_levels(levels: Levels) -> Iterator[_Row]:
    yield (
        "PriorityLevelName", "ActiveQueues", "IsIdle", "IsQuiescing", "WaitingRequests", "ExecutingRequests",
        "DispatchedRequests", "RejectedRequests", "TimedoutRequests", "CancelledRequests",
    )  # fmt: skip
    for level in _sorted(levels):
        queues, counts = level.queues, [each.counts for each in levels.schemas if each.level is level]
        rejected = [sum(each.rejected[reason] for each in counts) for reason in ("time-out", "cancelled")]
        yield (
            level.name,
            sum(1 for queue in queues.active.values() if queue.waiting),
            not (queues.waiting or queues.executing),
            False,
            queues.waiting,
            queues.executing,
            sum(each.dispatched for each in counts),
            sum(each.rejected.total() for each in counts),
            *rejected,
        )


def _queues(levels: Levels) -> Iterator[_Row]:
    yield (
        "PriorityLevelName", "Index", "PendingRequests", "ExecutingRequests", "SeatsInUse", "NextDispatchR",
        "InitialSeatsSum", "MaxSeatsSum", "TotalWorkSum",
    )  # fmt: skip
    for level in _sorted(levels):
        for index in range(level.queuing.queues if level.queuing is not None else 0):
            queue = level.queues.active.get(index)
            if queue is None:
                yield level.name, index, 0, 0, 0, "0ss", 0, 0, "0ss"
                continue
            seats = queue.seats_waiting
            numbers = (len(queue.waiting), queue.executing, queue.seats_executing, f"{queue.next_r:.8f}ss")
            yield level.name, index, *numbers, seats, seats, f"{seats * ESTIMATE_S:.8f}ss"


def _requests(levels: Levels) -> Iterator[_Row]:
    yield "PriorityLevelName", "FlowSchemaName", "QueueIndex", "RequestIndexInQueue", "FlowDistingsher", "InitialSeats"
    for level in _sorted(levels):
        for queue in level.queues.active.values():
            for number, request in enumerate(queue.waiting):
                assert isinstance(request, Place)
                flow = request.flow
                yield level.name, flow.schema.name, queue.index, number, flow.distinguisher, request.seats


_DUMPS: Mapping[str, Callable[[Levels], Iterator[_Row]]] = {
    "dump_priority_levels": _priority_levels,
    "dump_queues": _queues,
    "dump_requests": _requests,
}


def _sorted(levels: Levels) -> list[Level]:
    return sorted(levels.levels.values(), key=lambda level: level.name)


def _text(cell: object) -> str:
    return str(cell).lower() if isinstance(cell, bool) else str(cell)
