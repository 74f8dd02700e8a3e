"""The benchmarks run: nobody notices a broken one before the day on which its figure is wanted."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.awake import processors_awake
from bench.messages.questions import QUESTIONS, Question
from bench.messages.turns import Answer, take_turns
from bench.report import replace, shares, table, targets

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_all_questions_are_answered_by_actorkube_and_those_without_a_framework() -> None:
    names = ("actorkube", "raw", "queue", "streams")
    questions = [question._replace(words=question.words.replace("100000", "100")) for question in QUESTIONS]

    results = list(take_turns(questions, names, rounds=1, seconds=0.01))

    answers = [result for result in results if isinstance(result, Answer)]
    assert [result for result in results if isinstance(result, str)] == []
    assert [a.question.label for a in answers if not any(a.median(name) for name in names)] == []
    assert all(a.median("actorkube") for a in answers)


@pytest.mark.slow
def test_a_framework_that_is_not_there_is_named_and_missed_by_nobody() -> None:
    question = Question("ask", "ask local 1 100B {seconds}")

    missing, answer = take_turns([question], ["not_installed", "queue"], rounds=2, seconds=0.01)

    assert isinstance(missing, str) and "not_installed" in missing
    assert isinstance(answer, Answer) and list(answer.values) == ["queue"]


@pytest.mark.slow
def test_the_writer_of_a_stream_is_never_more_than_the_window_ahead_of_its_reader() -> None:
    (question,) = (question for question in QUESTIONS if "ahead" in question.label)

    (answer,) = take_turns([question], ["actorkube"], rounds=1, seconds=0.01)

    assert isinstance(answer, Answer)
    assert 0 < (answer.median("actorkube") or 0) <= 65


def test_what_keeps_processors_awake_gives_way_to_all_and_is_gone_afterwards() -> None:
    with processors_awake() as spinners:
        give_up_at = time.monotonic() + 30
        while not all(os.sched_getscheduler(pid) == os.SCHED_IDLE for pid in spinners):
            assert time.monotonic() < give_up_at
        places = [os.sched_getaffinity(pid) for pid in spinners]
    assert sorted(places, key=min) == [{cpu} for cpu in sorted(os.sched_getaffinity(0))]
    assert not any(is_running(pid) for pid in spinners)


def test_a_subject_ends_with_the_process_that_started_it_in_the_midst_of_a_measurement() -> None:
    starts_one = """
import time
from bench.messages.turns import Program
program = Program("queue")
program._process.stdin.write(b"ask local 1 100B 600.0\\n")
print(program._process.pid, flush=True)
time.sleep(600)
"""
    parent = subprocess.Popen([sys.executable, "-c", starts_one], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert parent.stdout is not None
    subject = int(parent.stdout.readline())

    with contextlib.closing(parent.stdout):
        parent.kill()
        parent.wait()

    give_up_at = time.monotonic() + 30
    while is_running(subject):
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    """A zombie, which nobody has waited for yet, is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_page_keeps_the_sections_that_were_not_measured_again() -> None:
    page = replace("", "sim", "## Simulation\n\nold\n")
    page = replace(page, "messages", "## Messages\n\nold\n")

    page = replace(page, "sim", "## Simulation\n\nnew\n")

    assert page.index("## Messages\n\nold") < page.index("## Simulation\n\nnew")
    assert page.count("## Simulation") == 1


def test_the_table_says_how_many_times_faster_and_what_is_still_to_be_reached() -> None:
    answer = Answer(Question("ask, TCP, depth 1, 100 B", ""))
    answer.values = {
        "actorkube": [40_000.0, 30_000.0, 50_000.0],
        "raw": [50_000.0, 60_000.0, 50_000.0],
        "erlang": [80_000.0, 60_000.0, 100_000.0],
        "queue": [None],
    }

    rows = list(table([answer.as_dict()]))
    left = list(targets([answer.as_dict()]))

    assert rows[-1] == "| ask, TCP, depth 1, 100 B (/s) | 40,000 | 50,000 (0.80) | 80,000 (0.50) |"
    ratios = "uvloop + MessagePack, no actors: 0.59, 0.80; Erlang/OTP: 0.85, 0.50"
    assert left[-1] == f"| ask, TCP, depth 1, 100 B (/s) | 60,000 | 40,000 | {ratios} |"


def test_the_page_says_what_tls_leaves_of_the_rate_beside_what_it_leaves_of_the_limits() -> None:
    medians = {"TCP": {"actorkube": 10_000.0, "raw": 20_000.0}, "TLS": {"actorkube": 6_600.0, "raw": 11_000.0}}
    answers = [{"label": f"ask, {place}, depth 1, 100 B", "medians": given} for place, given in medians.items()]

    rows = list(shares(answers))

    assert rows[-1] == "| ask, depth 1, 100 B | 0.65 | 0.66 | 0.55 |"
    assert list(shares(answers[:1])) == []


@pytest.mark.slow
def test_the_command_line_prints_a_line_for_each_answer(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench.messages", "--quick", "--only", "depth 1, 100", "--with", "actorkube,queue"]

    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)

    assert "x queue" in run.stdout


@pytest.mark.slow
@pytest.mark.parametrize("door", [[], ["--grpc"]])
def test_the_store_answers_a_question_without_another_to_compare_it_with(door: list[str]) -> None:
    command = [sys.executable, "-m", "bench.etcd", "--quick", "--alone", "--only", "put 256 B, 10 clients", *door]

    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)

    assert "put 256 B, 10 clients" in run.stdout and "/s" in run.stdout
