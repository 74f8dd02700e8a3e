"""What networks are like, as data: how long packets take, how many get lost and what that means, how much fits through.

Conditions hold for the whole network, or for one way (one direction between two hosts).
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Literal, Protocol


class Delay(Protocol):
    """A distribution of seconds."""

    def draw(self, chance: random.Random) -> float: ...


@dataclass(frozen=True, slots=True)
class Constant:
    s: float

    def draw(self, chance: random.Random) -> float:
        return self.s


@dataclass(frozen=True, slots=True)
class Uniform:
    least_s: float
    most_s: float

    def draw(self, chance: random.Random) -> float:
        return self.least_s + (self.most_s - self.least_s) * chance.random()


@dataclass(frozen=True, slots=True)
class Exponential:
    """As behind a queue: `least_s`, and on average `mean_s` more."""

    least_s: float
    mean_s: float

    def draw(self, chance: random.Random) -> float:
        return self.least_s + chance.expovariate(1.0 / self.mean_s)


@dataclass(frozen=True, slots=True)
class LongTail:
    """Lognormal, as between data centres: half take less than `median_s`, one in a hundred (sigma 1) ten times it."""

    median_s: float
    sigma: float = 1.0
    most_s: float = 5.0

    def draw(self, chance: random.Random) -> float:
        return min(self.most_s, chance.lognormvariate(math.log(self.median_s), self.sigma))


# A packet is lost. "breaks": its connection with it, which a program meets rarely in reality, and should survive often
# in tests. "retransmitted": it comes late, after the retransmission timeout, as TCP has it; others wait for it.
Loss = Literal["breaks", "retransmitted"]


@dataclass(frozen=True, slots=True)
class Conditions:
    """What happens to packets. Chances are per packet; the default is a healthy local network."""

    delay: Delay = Uniform(0.0003, 0.0007)
    stall: float = 0.0  # chance to take up to `stall_s` longer, which holds up those behind
    stall_s: float = 0.5
    loss: float = 0.0
    lost: Loss = "breaks"
    duplication: float = 0.0
    overtaking: float = 0.0
    bytes_per_s: float = math.inf  # of a way, shared by its connections; what does not fit through yet waits in line
    detect_s: tuple[float, float] = (0.1, 3.0)  # from the break of a connection to the moment an end knows

    @property
    def trouble(self) -> float:
        """Chance of a packet not simply to arrive."""
        return self.loss + self.duplication + self.overtaking + self.stall
