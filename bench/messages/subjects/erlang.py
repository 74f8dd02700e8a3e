"""Starts two Erlang nodes that know only each other; the near one answers the questions itself (erlang_subject.erl)."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = Path(__file__).with_name("erlang_subject.erl")


def main() -> None:
    if not shutil.which("erlc"):
        sys.exit("missing: apt install erlang-base")
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(["erlc", "-o", directory, str(SOURCE)], check=True)
        run(directory)


def run(directory: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    name = f"{os.getpid()}@127.0.0.1"
    # A cookie and a port mapper of this run's own, in its own home: nothing of the user's Erlang is touched or left.
    environment = {
        **os.environ,
        "HOME": directory,
        "ERL_EPMD_PORT": port,
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "BENCH_FAR": f"far-{name}",
    }
    epmd = subprocess.Popen(["epmd", "-port", port], env=environment, stdout=subprocess.DEVNULL)
    far = subprocess.Popen(
        node(f"far-{name}", "far", directory), env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert far.stdout is not None
        far.stdout.readline()
        subprocess.run(node(f"near-{name}", "near", directory), env=environment, check=False)
    finally:
        far.stdin.close()  # type: ignore[union-attr]
        far.wait(10)
        epmd.kill()
        epmd.wait()


def node(name: str, function: str, directory: str) -> list[str]:
    loopback = ["-kernel", "inet_dist_use_interface", "{127,0,0,1}"]
    flags = ["-noshell", "-name", name, "-setcookie", "bench", "-start_epmd", "false", "+P", "1000000", *loopback]
    return ["erl", *flags, "-pa", directory, "-s", "erlang_subject", function]


if __name__ == "__main__":
    main()
