"""DefaultPreemption: when no node fits, less important pods may have to go. The search is in `preemption.py`;
for a gang, whose pods are not asked about one by one, in `gang_preemption.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.scheduler.framework import Helpless, Nomination, PostFilter
from actors.scheduler.preemption import AS_EVER, Enough, preempt

if TYPE_CHECKING:
    from actors.scheduler.cycle import SchedulingCycle
    from actors.scheduler.demand import PodDemand
    from actors.scheduler.diagnosis import Unschedulable


class DefaultPreemption(PostFilter):
    """`enough`: how many nodes with victims are looked at before the best of them is taken."""

    name = "DefaultPreemption"
    preempts = True

    def __init__(self, enough: Enough = AS_EVER) -> None:
        self.enough = enough

    def post_filter(self, cycle: SchedulingCycle, pod: PodDemand, found: Unschedulable) -> Nomination | Helpless:
        if pod.gang is not None:
            return Helpless("preemption: it is for its gang as a whole, when all of it was tried.", waits=True)
        answer = preempt(cycle, pod, found, self.enough)
        if not isinstance(answer, Helpless):
            return answer
        return Helpless(f"preemption: {answer.why}", answer.waits, answer.frees)
