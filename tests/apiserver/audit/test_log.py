"""The file of the audit log: it never grows beyond its bound, and nothing is lost between one file and the next."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from actors.apiserver.audit.log import WAITING_MAX, AuditLog, LogFile, append
from tests.apiserver.world import World

BOUND = 400


@given(batches=st.lists(st.lists(st.integers(0, 150), max_size=8), max_size=10))
def test_files_stay_below_their_bound_and_keep_every_event_in_order(batches: list[list[int]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        file = LogFile(Path(directory) / "audit.log", BOUND, 0)
        events = [{"n": 0, "text": "x" * length} for batch in batches for length in batch]
        for number, event in enumerate(events):
            event["n"] = number
        waiting = iter(events)
        for turn, batch in enumerate(batches):
            append(file, [next(waiting) for _ in batch], float(turn))

        older = sorted(path for path in Path(directory).iterdir() if path != file.path)
        files = [*older, *([file.path] if file.path.exists() else [])]
        assert all(path.stat().st_size <= BOUND for path in files)
        assert [json.loads(line) for path in files for line in path.read_text().splitlines()] == events


def test_only_so_many_older_files_are_kept(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "audit.log", 100, 2)
    for number in range(8):
        append(file, [{"n": number, "text": "x" * 60}], float(number))

    kept = sorted(path.read_text() for path in tmp_path.iterdir())

    assert [json.loads(text)["n"] for text in kept] == [5, 6, 7]
    assert (tmp_path / "audit.log").stat().st_mode & 0o777 == 0o600


async def test_events_that_the_disk_does_not_take_are_dropped_and_counted(api: World) -> None:
    server = api.systems["apiserver"].actor("api")
    log = AuditLog(server.ctx, LogFile(Path("/nowhere/audit.log")))

    for number in range(WAITING_MAX + 5):
        log.write({"n": number})

    assert log.dropped == 5
