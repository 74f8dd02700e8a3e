"""What a simulated container does, written in its pod's annotations. Seconds count from the container's start.

    actorkube.dev/sim-pull-seconds     how long its image takes to pull (0)
    actorkube.dev/sim-start-error      starting it is refused with this message
    actorkube.dev/sim-prints           what it prints when it has started, in its log
    actorkube.dev/sim-exit-after       it exits by itself then (never)
    actorkube.dev/sim-exit-code        with this code (0)
    actorkube.dev/sim-ready-after      probes and execs fail before then (0)
    actorkube.dev/sim-hang-after       probes and execs fail from then on (never)
    actorkube.dev/sim-exec-prints      what a command in it prints (kubectl exec); then it repeats its input to the end
    actorkube.dev/sim-exec-code        and exits with this code (0)
    actorkube.dev/sim-cpu              the CPU that it uses (0); `800m, 60=50m`: 800m, and 50m from second 60 on
    actorkube.dev/sim-term-seconds     how long it goes on after TERM (0); `never` ignores TERM

`actorkube.dev/sim-exit-after.NAME` is for the container of that name only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

from protocols.rules.quantity import parse_quantity

PREFIX = "actorkube.dev/sim-"


class Load(NamedTuple):
    """So many billionths of a core from that second on."""

    since_s: float
    nano_cores: int


class SimScript(NamedTuple):
    start_error: str = ""
    prints: str = ""
    exit_after_s: float = math.inf
    exit_code: int = 0
    ready_after_s: float = 0.0
    hang_after_s: float = math.inf
    term_s: float = 0.0
    exec_prints: str = ""
    exec_code: int = 0
    cpu: tuple[Load, ...] = ()

    def answers(self, running_s: float) -> bool:
        return self.ready_after_s <= running_s < self.hang_after_s

    def cpu_ns(self, running_s: float) -> int:
        """The CPU time that it has used in so many seconds."""
        loads = [*self.cpu, Load(math.inf, 0)]
        return sum(
            int(max(0, min(end.since_s, running_s) - load.since_s) * load.nano_cores) for load, end in pairwise(loads)
        )


def read_script(annotations: Mapping[str, str], container: str) -> SimScript:
    """Raises ValueError for an annotation that does not parse, naming it."""

    def seconds(name: str, default: float) -> float:
        return seconds_in(annotations, name, container, default)

    return SimScript(
        start_error=_text(annotations, "start-error", container),
        prints=_text(annotations, "prints", container),
        exit_after_s=seconds("exit-after", math.inf),
        exit_code=int(seconds("exit-code", 0)),
        ready_after_s=seconds("ready-after", 0.0),
        hang_after_s=seconds("hang-after", math.inf),
        term_s=seconds("term-seconds", 0.0),
        exec_prints=_text(annotations, "exec-prints", container),
        exec_code=int(seconds("exec-code", 0)),
        cpu=_loads(_text(annotations, "cpu", container)),
    )


def _loads(text: str) -> tuple[Load, ...]:
    """`800m, 60=50m`, by time."""
    loads = []
    for part in text.split(",") if text else ():
        since, _, cpu = part.strip().rpartition("=")
        try:
            loads.append(Load(float(since or 0), parse_quantity(cpu)))
        except ValueError:
            raise ValueError(f"annotation {PREFIX}cpu is not a list of SECONDS=CPU: {text!r}") from None
    return tuple(sorted(loads))


def seconds_in(annotations: Mapping[str, str], name: str, container: str, default: float) -> float:
    text = _text(annotations, name, container)
    if text in ("", "never"):
        return math.inf if text else default
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"annotation {PREFIX}{name} is not a number of seconds: {text!r}") from None


def _text(annotations: Mapping[str, str], name: str, container: str) -> str:
    return annotations.get(f"{PREFIX}{name}.{container}", annotations.get(PREFIX + name, ""))
