"""What a simulation raises out of `run`: each is either a bug that it found, or a use that it cannot allow."""

from __future__ import annotations


class SimulationError(Exception):
    """Base of all; the notes of the exception name the seed and the last things that happened."""


class Deadlock(SimulationError):
    """Nothing is ready, no timer is set, and the scenario has not ended: it would wait for ever."""


class OutOfTime(SimulationError):
    """The scenario did not end within its simulated time."""


class OutOfSteps(SimulationError):
    """More callbacks than allowed, or too many in one instant: something loops without waiting."""


class RealWorld(SimulationError):
    """Code in the simulation reached for the real clock, real chance, real I/O, a thread or a process."""


class InvariantBroken(SimulationError, AssertionError):
    """A check given to `World.always` did not hold."""


class NotConverged(SimulationError, AssertionError):
    """A check given to `World.until` or `World.converges` did not come true in time, or did not stay true."""


class ActorCrashed(SimulationError):
    """An actor raised what is not an answer, and the world was not told to expect it."""


class Unhandled(SimulationError):
    """A callback raised, or a task ended with an exception that nobody looked at."""
