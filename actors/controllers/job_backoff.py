"""How long a Job waits before it replaces pods that failed: ten seconds, doubled with each failure in a row.

A success ends the row. What is counted are the pods that are still there: Kubernetes counts in memory, which forgets at
each start, so either may forgive what the other remembers.
"""

from __future__ import annotations

from collections.abc import Iterable

from actors.controllers.job_pods import JobPod

FIRST_S = 10.0
LONGEST_S = 600.0


def wait_s(failed: Iterable[JobPod], succeeded: Iterable[JobPod], now: float) -> float:
    """How long no pod is to be created."""
    last_success = max((pod.finished_at for pod in succeeded), default=None)
    row = [pod.finished_at for pod in failed if last_success is None or pod.finished_at > last_success]
    return _remaining_s(len(row), max(row), now) if row else 0.0


def wait_of_index_s(failed: JobPod | None, now: float) -> float:
    """The same for one index, whose last pod says how many have failed before."""
    if failed is None:
        return 0.0
    return _remaining_s(failed.failures + failed.ignored_failures + 1, failed.finished_at, now)


def _remaining_s(failures: int, last: float, now: float) -> float:
    whole: float = min(FIRST_S * 2 ** min(failures - 1, 32), LONGEST_S)
    return max(0.0, last + whole - now)
