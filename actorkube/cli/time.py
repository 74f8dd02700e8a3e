"""`actorkube time`: control the clock of a cluster that runs with `--time virtual`.

Which cluster: the one in `--data DIR`, or else the one that kubectl talks to; its kubeconfig says where its data are.
"""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path
from typing import Any

from actorkube.cli.data import SOCKET
from actorkube.cli.errors import CliError
from actorkube.cli.kubeconfig import DEFAULT, data_of
from actorkube.runtime.control_socket import ControlError, ask_control
from actorkube.runtime.duration import parse_duration

WORDS = "show, pause, resume, step, settle, advance DURATION, or a rate such as x10"


def time_command(options: argparse.Namespace) -> int:
    return send(data_of_options(options), time_request(options.words))


def time_request(words: list[str]) -> dict[str, Any]:
    """What the words ask for. Raises CliError."""
    match words:
        case [] | ["show"]:
            return {"do": "show"}
        case ["pause" | "step" | "settle" as word]:
            return {"do": word}
        case ["resume"]:
            return {"do": "run", "rate": 1}
        case ["advance", duration]:
            try:
                return {"do": "advance", "seconds": parse_duration(duration)}
            except ValueError as error:
                raise CliError(str(error), "say how far, as in advance 5m") from None
        case [rate] if re.fullmatch(r"x(\d+(\.\d*)?|\.\d+)", rate, re.ASCII):
            return {"do": "run", "rate": float(rate[1:])}
    raise CliError(f"time cannot {' '.join(words)!r}", f"say {WORDS}")


def send(data: Path, request: dict[str, Any]) -> int:
    """Print the answer of the cluster with those data. Raises CliError."""
    try:
        print(ask_control(data / SOCKET, request))
    except ControlError as error:
        hint = "start it with --time virtual" if "no cluster" in str(error) else "see actorkube time --help"
        raise CliError(f"{error} ({data})", hint) from None
    return 0


def data_of_options(options: argparse.Namespace) -> Path:
    return Path(options.data).expanduser() if options.data else _data_of_kubectl()


def _data_of_kubectl() -> Path:
    files = [Path(name).expanduser() for name in os.environ.get("KUBECONFIG", "").split(os.pathsep) if name]
    for file in files or [DEFAULT.expanduser()]:
        data = data_of(file)
        if data is not None:
            return data
    raise CliError("which cluster? kubectl is not set up for one of ours", "name its data directory with --data DIR")
