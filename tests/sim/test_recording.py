"""Recordings: a run as a file, a run that follows one, and where two of them part."""

from __future__ import annotations

import contextlib
from functools import partial
from pathlib import Path

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actorkube.sim import World
from actorkube.sim.recording import BadRecording, Diverged, Header, Recorder, Recording, compare
from actorkube.sim.trace import Trace
from tests.sim import heartbeats
from tests.sim.messages import SimBeat


async def talk(world: World, *, number: int = 1, more: int = 0) -> None:
    await world.boot("a")
    user = await world.boot("b")
    for each in (0, number, *range(more)):
        user.tell(user.ref("a/nobody"), SimBeat("b", each))
        await world.sleep(1)


def record(path: Path, *, number: int = 1, more: int = 0) -> Path:
    World.run_sync(partial(talk, number=number, more=more), 7, record=path, name="x:talk", options={"number": number})
    return path


def test_a_recording_says_what_made_it_and_holds_the_whole_trace(tmp_path: Path) -> None:
    with contextlib.closing(World(3, record=tmp_path / "run.trace")) as world:
        world.run(heartbeats.scenario)
    with contextlib.closing(World(3, record=True)) as same:
        same.run(heartbeats.scenario)

    recording = Recording(record(tmp_path / "talk.trace"))
    whole = Recording(tmp_path / "run.trace")

    assert (recording.header.seed, recording.header.scenario) == (7, "x:talk")
    assert recording.header.options == {"number": 1}
    assert recording.header.package
    assert list(whole.entries()) == same.trace.entries
    assert whole.trailer is not None
    assert (whole.trailer.count, whole.trailer.hash) == (same.trace.count, same.trace.hash)


def test_a_run_that_does_the_same_follows_its_recording_to_the_end(tmp_path: Path) -> None:
    recorded = tmp_path / "run.trace"
    World.run_sync(heartbeats.scenario, 5, record=recorded)

    World.run_sync(heartbeats.scenario, 5, replay=recorded)


def test_a_run_that_does_something_else_is_stopped_there_and_told_what(tmp_path: Path) -> None:
    recorded = record(tmp_path / "run.trace")
    world = World(7, replay=recorded)

    with contextlib.closing(world), pytest.raises(Diverged) as caught:
        world.run(partial(talk, number=2, more=50))

    assert 1 <= world.loop.now < 1.1, "stopped at once"
    assert isinstance(caught.value.difference.one, tuple)
    assert "- 1.0" in str(caught.value)
    assert "+ 1.0" in str(caught.value)
    assert "SimBeat" in str(caught.value)


def test_a_run_that_ends_too_early_or_too_late_is_not_the_recorded_one(tmp_path: Path) -> None:
    recorded = record(tmp_path / "run.trace", more=2)

    with pytest.raises(Diverged, match=r"\+ \(the end\)"):
        World.run_sync(talk, 7, replay=recorded)
    with pytest.raises(Diverged, match=r"- \(the end\)"):
        World.run_sync(partial(talk, more=3), 7, replay=recorded)


def test_two_recordings_are_compared_to_their_first_difference(tmp_path: Path) -> None:
    one, same = record(tmp_path / "one"), record(tmp_path / "same")
    other = record(tmp_path / "other", number=2)

    assert compare(one, same) is None
    difference = compare(one, other)
    assert difference is not None
    assert len(difference.before) == 3
    assert [line[0] for line in str(difference).splitlines()] == ["e", " ", " ", " ", "-", "+"]


def test_a_recording_of_a_run_that_failed_is_complete(tmp_path: Path) -> None:
    async def fail(world: World) -> None:
        await talk(world)
        raise RuntimeError("planted")

    with pytest.raises(RuntimeError):
        World.run_sync(fail, 7, record=tmp_path / "failed")

    assert compare(tmp_path / "failed", record(tmp_path / "run")) is None


def test_a_recording_is_bounded_and_good_as_far_as_it_goes(tmp_path: Path) -> None:
    trace = Trace()
    recorder = Recorder(tmp_path / "run", trace, Header(seed=1), bytes_max=20_000)
    for number in range(10_000):
        trace.note(float(number), number, "x")
    recorder.close()

    recording = Recording(tmp_path / "run")
    entries = list(recording.entries())

    assert (tmp_path / "run").stat().st_size < 21_000
    assert 1000 < len(entries) < 10_000
    assert entries == [(float(number), number, "", "x") for number in range(len(entries))]
    assert recording.trailer is not None
    assert (recording.trailer.complete, recording.trailer.count) == (False, 10_000)


def test_a_run_follows_a_recording_that_was_cut_short_as_far_as_it_goes(tmp_path: Path) -> None:
    whole = record(tmp_path / "run").read_bytes()
    (tmp_path / "cut").write_bytes(whole[: len(whole) // 2])

    World.run_sync(talk, 7, replay=tmp_path / "cut")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 100), flipped=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_damaged_recording_is_refused_in_words_or_read_as_far_as_it_goes(
    cut: int, flipped: int, bit: int, tmp_path: Path
) -> None:
    whole = bytearray(record(tmp_path / "run").read_bytes())
    whole[flipped % len(whole)] ^= 1 << bit
    damaged = tmp_path / "damaged"
    damaged.write_bytes(whole[: len(whole) * cut // 100])

    try:
        list(Recording(damaged).entries())
    except BadRecording as error:
        assert str(damaged) in str(error)


def test_what_is_not_a_recording_or_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    (tmp_path / "later").write_bytes(msgpack.packb({"format": "actorkube trace", "version": 99}))

    with pytest.raises(BadRecording, match="No such file"):
        Recording(tmp_path / "none")
    with pytest.raises(BadRecording, match="is not a recording"):
        Recording(tmp_path / "text")
    with pytest.raises(BadRecording, match="version 99"):
        Recording(tmp_path / "later")
