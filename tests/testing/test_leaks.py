"""What a test leaves behind fails it, and is named; and a cluster itself leaves nothing."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from actorkube.testing import Cluster
from actorkube.testing.leaks import leaked, resources
from tests.testing.runs import ALONE, loaded

__all__ = ["loaded"]


def test_nothing_new_is_nothing_left() -> None:
    before = resources()

    with socket.socket() as closed:
        closed.listen()
    ended = threading.Thread(target=lambda: None)
    ended.start()
    ended.join()
    pool = ThreadPoolExecutor()  # never shut down, as in many a client library
    pool.submit(int).result()

    assert leaked(before) == []


@pytest.mark.slow
def test_what_is_new_is_named_as_one_would_look_for_it(tmp_path: Path) -> None:
    before = resources()
    goes_on = threading.Event()

    thread = threading.Thread(target=goes_on.wait, name="a thread of ours")
    thread.start()
    listener = socket.create_server(("127.0.0.1", 0))
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    file = (tmp_path / "a file").open("w")
    found = "\n".join(leaked(before))
    goes_on.set()
    thread.join()
    listener.close()
    process.communicate()
    file.close()

    assert "thread 'a thread of ours' still runs" in found
    assert f"socket 127.0.0.1:{listener_port(found)} LISTEN is still open" in found
    assert f"process {process.pid} ({sys.executable} -c input()) still runs" in found
    assert f"file {tmp_path / 'a file'} is still open" in found
    assert "pipe (descriptor" in found
    assert leaked(before) == []


def test_a_process_that_has_ended_does_not_run_also_if_nobody_has_waited_for_it() -> None:
    """As the children of a killed process, where this one adopts orphans."""
    before = resources()

    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    found = leaked(before)
    process.wait()

    assert found == []


def listener_port(found: str) -> str:
    return next(line for line in found.splitlines() if "LISTEN" in line).split(":")[1].split()[0]


LEAVES = """
import asyncio, threading
import pytest

pytestmark = pytest.mark.actorkube(nodes=1, etcd=1)
GOES_ON = threading.Event()

def leave_a_thread():
    threading.Thread(target=GOES_ON.wait, name="left", daemon=True).start()

def test_thread(cluster):
    leave_a_thread()

@pytest.mark.actorkube(leaks=False)
def test_allowed(cluster):
    leave_a_thread()

async def test_task(world):
    async def forgotten():
        await asyncio.sleep(1e6)
    asyncio.get_running_loop().create_task(forgotten())
    await asyncio.sleep(1)

def test_failed_already(cluster):
    leave_a_thread()
    assert False
"""


@pytest.mark.slow
def test_a_test_fails_for_what_it_leaves_unless_it_may_or_failed_already(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(LEAVES)

    result = pytester.runpytest_inprocess(*ALONE)

    result.assert_outcomes(passed=3, errors=2, failed=1)
    result.stdout.fnmatch_lines_random(
        ["*the test left something behind:*", "*thread 'left' still runs*", "*task test_task*forgotten still waits*"]
    )


@pytest.mark.slow
def test_clusters_leave_nothing_in_the_process() -> None:
    Cluster(nodes=1, etcd=1).close()  # what is imported, stays
    before = resources()
    environment = dict(os.environ)

    one, other = Cluster(nodes=1, etcd=1), Cluster(nodes=1, etcd=1)
    one.clock.advance("30s")
    other.kill("etcd-0")
    one.close()
    other.close()

    assert leaked(before) == []
    assert dict(os.environ) == environment
