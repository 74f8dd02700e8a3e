"""Bugs that were planted in the simulated world to see whether a test finds each.

    python -m tests.sim.planted_bugs            plants each in a copy of the tree, and runs the tests for it
    python -m tests.sim.planted_bugs disk       only those whose name has the word

That each can still be planted is checked by every test run (test_planted_bugs.py).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.etcd.bug import ROOT, Bug
from tests.etcd.planted_bugs import plant

SIM = "actorkube/sim"
DISK, GUARD, HOST = f"{SIM}/disk.py", f"{SIM}/guard.py", f"{SIM}/host.py"
LOOP, NETWORK, STAGE, TASKS = f"{SIM}/loop.py", f"{SIM}/network.py", f"{SIM}/stage.py", f"{SIM}/tasks.py"
CLOCK, NEMESIS = f"{SIM}/clock.py", f"{SIM}/nemesis.py"
TRACE, TRANSPORT, WORLD = f"{SIM}/trace.py", f"{SIM}/transport.py", f"{SIM}/world.py"

ON_NETWORK = ("test_network", "test_world")
ON_DISK = ("test_disk", "test_world")
ON_WORLD = ("test_loop", "test_world", "test_faults")
CLOCKS = ("test_clocks",)
ON_TRACE = ("test_determinism", "test_loop")

BUGS = [
    Bug(
        "network: doubled packets delivered",
        TRANSPORT,
        "elif sequence < self.received or sequence in self._early:",
        "elif False:",
        ON_NETWORK,
    ),
    Bug("network: overtaken accepted", TRANSPORT, "elif sequence == self.received:", "elif True:", ON_NETWORK),
    Bug(
        "network: what comes early is not waited for",
        TRANSPORT,
        "            self._early[sequence] = frame\n",
        "            self._accept(far, frame)\n",
        ON_NETWORK,
    ),
    Bug("network: lost for ever", NETWORK, "or attempts >= RETRANSMISSIONS_MAX", "", ON_NETWORK),
    Bug("network: a slow link has no queue", NETWORK, "max(now, self.free_at)", "now", ON_NETWORK),
    Bug(
        "clock: running timers do not drift", LOOP, "if timer.clock is clock else when,", "if False else when,", CLOCKS
    ),
    Bug(
        "loop: who has run is never forgotten", LOOP, "            self._ran.clear()\n", "            pass\n", ON_WORLD
    ),
    Bug(
        "loop: who is paused has run",
        LOOP,
        "                    owner.set_aside(handle)\n",
        "                    owner.set_aside(handle)\n                    (set() if ran is None else ran).add(owner)\n",
        ON_WORLD,
    ),
    Bug("clock: now goes back", CLOCK, "if now > self._latest_s:", "if True:", CLOCKS),
    Bug("clock: a skew hurries timers", CLOCK, "self._ahead_s = ahead_s", "self._shown_s += ahead_s", CLOCKS),
    Bug(
        "clock: the scenario's time to live is the world's",
        HOST,
        "loop.clocked and domain.get() is None",
        "False",
        CLOCKS,
    ),
    Bug(
        "clock: healing leaves a drift",
        STAGE,
        "                self.loop.set_rate(host.clock, 1.0)\n",
        "                pass\n",
        CLOCKS,
    ),
    Bug(
        "network: a stalled packet is overtaken",
        NETWORK,
        "        link.clear_at = at + longer\n        return link.clear_at",
        "        return at + longer",
        ON_NETWORK,
    ),
    Bug("network: under way passes a partition", TRANSPORT, "elif far.way.blocks:", "elif False:", ON_NETWORK),
    Bug("network: partitions are one-way", STAGE, "if both_ways else there", "if False else there", ON_NETWORK),
    Bug(
        "network: overlapping partitions end together",
        NETWORK,
        "way.blocks = max(0, way.blocks - 1)",
        "way.blocks = 0",
        ON_NETWORK,
    ),
    Bug("network: silence never noticed", NETWORK, 'self.lose(link, "silent")', "pass", ON_NETWORK),
    Bug(
        "network: a lost answer leaves its connection",
        NETWORK,
        "                if frame[0] & ~TRACED != Kind.TELL:",
        "                if False:",
        ON_NETWORK,
    ),
    Bug(
        "network: an old life's connection is kept",
        TRANSPORT,
        "if known is None or (known is not link and known.opened_by not in (None, link.opened_by)):",
        "if known is None:",
        ON_NETWORK,
    ),
    Bug(
        "network: a planned end overtakes what was sent",
        TRANSPORT,
        "self._network.transmit(self, FIN_FRAME)",
        "self._network.reset(self)",
        ON_NETWORK,
    ),
    Bug(
        "network: dialling loses what waits",
        TRANSPORT,
        "            self._waiting.append(frame)",
        "            pass",
        ON_NETWORK,
    ),
    Bug(
        "network: healing leaves what is broken",
        NETWORK,
        "                if link.doomed:\n",
        "                if False:\n",
        ON_NETWORK,
    ),
    Bug(
        "disk: a crash loses nothing",
        DISK,
        "chance.choice((0, len(self._pending), chance.randint(0, len(self._pending))))",
        "len(self._pending)",
        ON_DISK,
    ),
    Bug(
        "disk: a sync covers later appends",
        DISK,
        "        file.harden(upto)\n",
        "        file.harden(file.issued)\n",
        ON_DISK,
    ),
    Bug(
        "disk: a sync forgets an append",
        DISK,
        "        file.harden(upto)\n",
        "        file.harden(max(0, upto - 1))\n",
        ON_DISK,
    ),
    Bug(
        "disk: replace at once",
        DISK,
        "        self._replacing[name] = data\n",
        "        self._put(name, data)\n",
        ON_DISK,
    ),
    Bug(
        "disk: removed files stay away",
        DISK,
        "if name not in self._files and chance.random() < 0.5:",
        "if False:",
        ON_DISK,
    ),
    Bug("disk: new names last", DISK, "if not file.named and chance.random() < 0.5:", "if False:", ON_DISK),
    Bug("disk: a full one takes all", DISK, "fits = len(data) <= room", "fits = True", ON_DISK),
    Bug(
        "disk: space is not given back",
        DISK,
        "        self._drive.used_bytes += file.size - before",
        "        pass",
        ON_DISK,
    ),
    Bug(
        "host: chance repeats after a restart",
        HOST,
        'seed=f"{world.seed}/{host.name}/{host.lives}"',
        'seed=f"{world.seed}/{host.name}"',
        ON_WORLD,
    ),
    Bug(
        "host: a past life takes the next one along",
        HOST,
        "if self.life is life and not failed.cancelled():",
        "if not failed.cancelled():",
        ON_WORLD,
    ),
    Bug(
        "host: finally runs at a crash",
        LOOP,
        "self._graves.extend([task for task in self._living() if task.domain is owner])",
        "[_close_coroutine(task.get_coro()) for task in self._living() if task.domain is owner]",
        ON_WORLD,
    ),
    Bug(
        "loop: who lives is forgotten with those that are done",
        LOOP,
        "            self._tasks = [weakref.ref(living) for living in self._living()]\n",
        "            self._tasks = []\n",
        ON_WORLD,
    ),
    Bug(
        "loop: who is done is remembered for ever",
        LOOP,
        "        if len(self._tasks) >= self._tasks_max:\n",
        "        if False:\n",
        ON_WORLD,
    ),
    Bug(
        "a run ends with a search through all that it has made",
        f"{SIM}/garbage.py",
        "            gc.freeze()\n            gc.unfreeze()\n",
        "            gc.unfreeze()\n",
        ("test_garbage",),
    ),
    Bug(
        "host: a pause loses what comes due",
        TASKS,
        "            self.held.append(handle)",
        "            pass",
        ON_WORLD,
    ),
    Bug(
        "loop: ties last in first out",
        LOOP,
        "(when, next(self.births), timer))\n        return timer  # type",
        "(when, -next(self.births), timer))\n        return timer  # type",
        ON_TRACE,
    ),
    Bug(
        "loop: tasks hashed by address",
        TASKS,
        "context=context)\n\n    def __hash__(self) -> int:\n        return self.birth",
        "context=context)\n\n    def __hash__(self) -> int:\n        return id(self) >> 4",
        ON_TRACE,
    ),
    Bug(
        "trace: links of a host in a set",
        TRANSPORT,
        "        for link in self._all:\n            link.shut()",
        "        for link in set(self._all):\n            link.shut()",
        ON_TRACE,
    ),
    Bug(
        "trace: bodies do not count",
        TRACE,
        "encoded = encode(new)",
        "encoded = encode([(*e[:3], e[3] if isinstance(e[3], str) else e[3][:6]) for e in new])",
        ON_TRACE,
    ),
    Bug("guard: os.urandom is free", GUARD, '    (os, "urandom", "use ctx.random"),\n', "", ("test_guard",)),
    Bug(
        "world: invariants are looked at last",
        WORLD,
        "        self.loop.check = self._check_invariants\n",
        "",
        ON_WORLD,
    ),
    Bug("world: crashing actors pass", WORLD, "if not isinstance(error, self._expected):", "if False:", ON_WORLD),
    Bug(
        "world: unhandled exceptions pass",
        WORLD,
        "        self.loop.on_unhandled = self._unhandled\n",
        "",
        ON_WORLD,
    ),
    Bug("faults: the nemesis does not heal", NEMESIS, "    await world.recover()\n", "    pass\n", ON_WORLD),
]


def main() -> None:
    words = sys.argv[1:]
    missed = []
    for bug in BUGS:
        if words and not any(word in bug.name for word in words):
            continue
        finder = find(bug)
        print(f"{'found ' if finder else 'MISSED'}  {bug.name:50s} {finder}", flush=True)
        if not finder:
            missed.append(bug.name)
    sys.exit(1 if missed else 0)


def find(bug: Bug) -> str:
    """Plant the bug in a copy, run the tests, and name the first that fails; empty if none does."""
    with tempfile.TemporaryDirectory() as directory:
        tree = Path(directory)
        for part in ("actorkube", "protocols", "tests/sim"):
            shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "tests/__init__.py"):
            shutil.copy(ROOT / name, tree / name)
        plant(bug, tree)
        tests = [f"tests/sim/{name}.py" for name in bug.found_by]
        command = [sys.executable, "-m", "pytest", "-q", "-x", "--timeout=120", f"--basetemp={tree / 'files'}", *tests]
        done = subprocess.run(command, cwd=tree, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": "."})
        failed = [text for text in done.stdout.splitlines() if text.startswith(("FAILED", "ERROR"))]
        return failed[0].partition("::")[2].partition(" ")[0] if failed else ""


if __name__ == "__main__":
    main()
