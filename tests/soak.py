"""`./dev soak`: simulate clusters under new seeds until stopped, or a given range of seeds.

Each seed draws what a user does, which faults there are and how bad the network and the disks are. A seed that fails is
a bug report: it is printed with the command that repeats it, and belongs into tests/worlds as a regression test.
"""

from __future__ import annotations

import argparse
import itertools
import random
import time
import traceback
from collections.abc import Iterable

from actorkube.sim import Swarm, World
from tests.worlds.test_convergence import NAMES, Act, settle


def acts_of(chance: random.Random) -> list[Act]:
    kinds = ("deploy", "deploy", "scale", "scale", "version", "delete", "note")
    pauses = (0.0, 0.5, 5.0)
    return [
        Act(chance.choice(kinds), chance.choice(NAMES), chance.randint(0, 5), chance.choice(pauses))  # type: ignore[arg-type]
        for _ in range(chance.randint(1, 10))
    ]


def run(seed: int) -> float:
    """Simulated seconds. Raises what goes wrong."""

    async def scenario(world: World) -> None:
        await settle(world, acts_of(world.chance("acts")), Swarm.draw(world.chance("swarm")))

    world = World(seed)
    try:
        world.run(scenario)
        return world.now - world.epoch
    finally:
        world.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=random.SystemRandom().randrange(10**6), help="the first seed")
    parser.add_argument("--seeds", type=int, help="how many; without it, until stopped")
    options = parser.parse_args()
    seeds: Iterable[int] = itertools.count(options.first)
    if options.seeds is not None:
        seeds = range(options.first, options.first + options.seeds)
    began, done, failed, simulated = time.monotonic(), 0, 0, 0.0
    try:
        for seed in seeds:
            try:
                simulated += run(seed)
            except Exception:
                failed += 1
                traceback.print_exc()
                print(f"seed {seed} fails; again: ./dev soak --first {seed} --seeds 1", flush=True)
            done += 1
            if done % 10 == 0:
                rate = simulated / (time.monotonic() - began)
                print(f"{done} seeds, {failed} failed, {rate:.0f} simulated seconds per second", flush=True)
    except KeyboardInterrupt:
        pass
    print(f"{done - failed} seeds passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
