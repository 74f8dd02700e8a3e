"""Why a controller passes over a key: what was written says so, also when no watch but only the answer tells of it."""

from __future__ import annotations

from actorkube.kube import Controller, Watches
from actorkube.runtime import System
from tests.kube.test_controller_actor import Bench, config, copied_key, copy_each


def way_back(systems: list[System], what: str) -> list[str]:
    """From the newest span of that name to its root."""
    known = {span.span_id: span for system in systems for span in system.tracer.spans}
    found = max((span for span in known.values() if span.what == what), key=lambda span: span.began)
    way = []
    while found is not None:
        way.append(found.what)
        found = known.get(found.parent_id)
    return way


async def test_an_own_write_that_no_watch_tells_of_is_the_cause_of_the_next_pass() -> None:
    bench = Bench(Controller("copier", (Watches("configmaps"), Watches("copies", copied_key)), copy_each))
    for system in bench.systems:
        system.follow()
    bench.store.create("configmaps", config("a"))
    await bench.start()
    bench.api.fail = lambda request: setattr(bench.api, "muted", True)  # from the first write on

    await bench.settle()

    way = way_back(bench.systems, "copier default/a")
    assert way == ["copier default/a", "Create", "copier default/a", "Watch"]
    await bench.stop()
