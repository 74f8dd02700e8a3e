"""Taking turns: every subject is a program that waits for its next question while another one answers."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.messages.questions import Question

OURS = "actorkube"
SUBJECTS = (OURS, "raw", "queue", "streams", "erlang", "xoscar", "pykka", "thespian", "ray")
ROUNDS_FRESH_MAX = 1
START_TIMEOUT_S = 60.0
ANSWER_TIMEOUT_S = 60.0


@dataclass
class Answer:
    """What each subject said in each round; None where it does not offer it."""

    question: Question
    values: dict[str, list[float | None]] = field(default_factory=dict)

    def median(self, name: str) -> float | None:
        given = [value for value in self.values.get(name, ()) if value is not None]
        return statistics.median(given) if given else None

    def ratio(self, name: str) -> float | None:
        """How many times the subject's figure ours is."""
        pairs = zip(self.values.get(OURS, ()), self.values.get(name, ()), strict=False)
        ratios = [ours / theirs for ours, theirs in pairs if ours and theirs]
        return statistics.median(ratios) if ratios else None

    def as_dict(self) -> dict[str, Any]:
        names = list(self.values)
        return {
            "label": self.question.label,
            "unit": self.question.unit,
            "medians": {name: self.median(name) for name in names},
            "ratios": {name: self.ratio(name) for name in names},
        }


class Silent(Exception):
    """A subject that is not installed, ended, or took too long; the text says which."""


class Program:
    """A running subject."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"bench.messages.subjects.{name}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,  # so that whatever it starts can be ended with it
        )
        self._read(START_TIMEOUT_S)

    def answer(self, words: str) -> float | None:
        """The last line's number, when several are asked."""
        for word in words.split("\n"):
            self._process.stdin.write(f"{word}\n".encode())  # type: ignore[union-attr]
            self._process.stdin.flush()  # type: ignore[union-attr]
            said = self._read(ANSWER_TIMEOUT_S)
        return None if said == "-" else float(said)

    def end(self) -> None:
        self._process.stdin.close()  # type: ignore[union-attr]
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(15)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process.stdout.close()  # type: ignore[union-attr]
        self._process.stderr.close()  # type: ignore[union-attr]

    def _read(self, timeout_s: float) -> str:
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(timeout_s):
                self.end()
                raise Silent(f"{self.name}: no answer in {timeout_s:.0f} s")
        line = self._process.stdout.readline()
        if not line:
            assert self._process.stderr is not None
            last = self._process.stderr.read().decode(errors="replace").strip().splitlines()[-1:]
            self.end()
            raise Silent(f"{self.name} {''.join(last) or 'ended'}")
        return line.decode().strip()


def take_turns(
    questions: Sequence[Question], names: Sequence[str], rounds: int, seconds: float
) -> Iterator[Answer | str]:
    """Answers as they come; a text for each subject that cannot take part."""
    programs: dict[str, Program] = {}
    try:
        for name in names:
            try:
                programs[name] = Program(name)
            except Silent as reason:
                yield str(reason)
        for question in questions:
            answer = Answer(question)
            for _ in range(min(rounds, ROUNDS_FRESH_MAX) if question.fresh else rounds):
                for name in list(programs):
                    try:
                        value = _answer(programs[name], question, seconds)
                    except Silent as reason:
                        programs.pop(name).end()
                        yield f"{reason} to: {question.label}"
                        continue
                    answer.values.setdefault(name, []).append(value)
            yield answer
    finally:
        for program in programs.values():
            program.end()


def _answer(program: Program, question: Question, seconds: float) -> float | None:
    if not question.fresh:
        return program.answer(question.words.format(seconds=seconds))
    fresh = Program(program.name)
    try:
        return fresh.answer(question.words)
    finally:
        fresh.end()
