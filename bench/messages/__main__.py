"""How many tells and asks a second do actors exchange, what does an actor cost, and how does that compare?

    python -m bench.messages [--only "ask, TCP"] [--quick] [--with actorkube,raw,erlang] [--awake]

Each line is the median of rounds in which all that are compared take turns, so that a machine whose speed changes is
fair to all; behind it stands how many times faster (or, for bytes and items, larger) ActorKube is than each of the
others, the median of the rounds' ratios. The limit is `raw`: uvloop and MessagePack without actors. Frameworks that
are not installed are named, and missed by nobody: pip install 'actorkube[bench]', apt install erlang-base.
"""

from __future__ import annotations

import argparse
import contextlib
import json
from pathlib import Path

from bench.awake import processors_awake
from bench.messages.questions import QUESTIONS
from bench.messages.turns import OURS, SUBJECTS, Answer, take_turns


def line(answer: Answer) -> str:
    ours = answer.median(OURS)
    said = "-" if ours is None else f"{ours:,.0f}"
    ratios = [f"{answer.ratio(name):.2f} x {name}" for name in answer.values if answer.ratio(name) and name != OURS]
    return f"{answer.question.label:34s} {said:>12s} {answer.question.unit:3s}  {', '.join(ratios)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="the questions that have these words in their label")
    parser.add_argument("--with", dest="subjects", default=",".join(SUBJECTS), help="who takes part")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.3, help="for one answer")
    parser.add_argument("--quick", action="store_true", help="one short round: does it run?")
    parser.add_argument("--awake", action="store_true", help="no processor is let fall asleep between two messages")
    parser.add_argument("--json", type=Path, help="write the answers to this file, too")
    options = parser.parse_args()
    rounds, seconds = (1, 0.05) if options.quick else (options.rounds, options.seconds)
    questions = [question for question in QUESTIONS if options.only.lower() in question.label.lower()]
    answers, notes = [], []
    with processors_awake() if options.awake else contextlib.nullcontext():
        for result in take_turns(questions, options.subjects.split(","), rounds, seconds):
            if isinstance(result, Answer):
                answers.append(result.as_dict())
                print(line(result), flush=True)
            else:
                notes.append(result)
                print(result, flush=True)
    if options.json:
        options.json.write_text(json.dumps({"answers": answers, "notes": notes}, indent=1))


if __name__ == "__main__":
    main()
