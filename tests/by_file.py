"""Which worker runs which tests, where several do."""

from __future__ import annotations

from xdist.scheduler import LoadFileScheduling

PLANTED = "tests/planted/test_planted.py"


class ByFile(LoadFileScheduling):  # type: ignore[misc]  # xdist's modules say no types
    """A file's tests share a worker, and so its clusters. Planted bugs, half of all the time, stand for themselves."""

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith(PLANTED):
            return nodeid
        scope: str = super()._split_scope(nodeid)
        return scope
