"""Does the memory of whole replicas stay flat under writes, with history compacted as it is by default?

    python -m bench.etcd.soak [--minutes 10] [--per-s 1000] [--keys 20000]

Three processes, every write synced to three disks; values of 256 bytes, overwritten again and again. Once a minute it
tells the resident memory of each member and what the largest directory takes. In the end the largest member is compared
with itself, as it was after half of the time, when it had written several snapshots: exit code 1 if it grew by more
than a twentieth.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
import tempfile
import time
from pathlib import Path

import psutil
import uvloop

from bench.etcd.ours import ActorKube

MIB = 1 << 20
CLIENTS = 20
GROWTH_MAX = 0.05


async def write(subject: ActorKube, keys: int, per_s: float, seconds: float) -> None:
    """At that pace, or as fast as it goes if that is less."""
    began, numbers = time.monotonic(), itertools.count()

    async def client(name: int) -> None:
        while time.monotonic() < began + seconds:
            number = next(numbers)
            await asyncio.sleep(max(0.0, began + number / per_s - time.monotonic()))
            await subject.put(name, b"/registry/pods/default/web-%08d" % (number % keys), b"%08d" % number + bytes(248))

    await asyncio.gather(*(client(name) for name in range(CLIENTS)))


async def run(options: argparse.Namespace, path: Path) -> int:
    subject = ActorKube(path)
    try:
        await subject.leader()
        await subject.connect(2)
        settled, written = 0, 0
        minutes = max(5, round(options.minutes))
        for minute in range(1, minutes + 1):
            before = await subject.revision()
            await write(subject, options.keys, options.per_s, options.minutes * 60 / minutes)
            written += await subject.revision() - before
            memory = {name: psutil.Process(one.pid).memory_info().rss for name, one in subject.processes.items()}
            most = max(memory.values())
            cells = "  ".join(f"{name} {size / MIB:5.0f} MiB" for name, size in sorted(memory.items()))
            said = f"part {minute:2d} of {minutes}: {written:9,} writes  {cells}"
            print(f"{said}  disk {disk(path) / MIB:5.0f} MiB", flush=True)
            settled = most if minute == -(-minutes // 2) else settled
    finally:
        await subject.stop()
    growth = most / settled - 1
    print(f"the largest member: {settled / MIB:.0f} MiB after half, {most / MIB:.0f} MiB in the end: {growth:+.1%}")
    return int(growth > GROWTH_MAX)


def disk(path: Path) -> int:
    """Of the largest member."""
    members = [member for member in path.iterdir() if member.is_dir()]
    return max(sum(file.stat().st_size for file in member.rglob("*") if file.is_file()) for member in members)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--per-s", type=float, default=1000.0, help="writes")
    parser.add_argument("--keys", type=int, default=20_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        sys.exit(uvloop.run(run(options, Path(directory))))


if __name__ == "__main__":
    main()
