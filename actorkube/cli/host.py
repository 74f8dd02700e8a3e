"""`actorkube host`: hosts of a running cluster are killed and started, cut off from each other, and their clocks set.

In one process (`--time virtual`) the cluster does it when it is told through its socket. In many, faults are kept in a
file that each process looks at; a process is killed by `kill`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from actorkube.cli.data import FAULTS, SOCKET
from actorkube.cli.errors import CliError
from actorkube.cli.faults import change_faults
from actorkube.cli.time import data_of_options, send
from actorkube.runtime.duration import parse_duration
from actorkube.runtime.faults import Faults, partitioned_sentence, skewed_sentence

WORDS = "say host list, host kill NAME or host start NAME, partition A [B], skew NAME TIME [--behind], or heal"
OF_PROCESSES = ("partition", "skew", "heal")


def command(options: argparse.Namespace) -> int:
    request = host_request(options.action, options.names, one_way=options.one_way, behind=options.behind)
    data = data_of_options(options)
    if request["do"] in OF_PROCESSES and (data / FAULTS).exists() and not (data / SOCKET).exists():
        return _change(data, request)
    return send(data, request)


def host_request(action: str, names: list[str], *, one_way: bool = False, behind: bool = False) -> dict[str, Any]:
    """What the words ask for. Raises CliError."""
    match action, names:
        case "list", []:
            return {"do": "hosts"}
        case (("kill" | "start"), [name]):
            return {"do": action, "name": name}
        case "partition", [one, *others] if len(others) < 2:
            return {"do": action, "one": one, "other": others[0] if others else "", "both_ways": not one_way}
        case "skew", [name, by]:
            return {"do": action, "name": name, "seconds": _seconds(by) * (-1 if behind else 1)}
        case "heal", []:
            return {"do": action}
    raise CliError(f"{action} what?", WORDS)


def _seconds(by: str) -> float:
    try:
        return parse_duration(by)
    except ValueError as error:
        raise CliError(str(error), "say by how much, as in skew node-1 5m") from None


def _change(data: Path, request: dict[str, Any]) -> int:
    try:
        heard = change_faults(data, lambda faults: _changed(faults, request))
    except KeyError as error:
        raise CliError(str(error.args[0]), "name a host or a node of that cluster") from None
    print(_said(request))
    if heard.later:
        print(f"{', '.join(heard.later)} will hear of it when it goes on")
    if heard.elsewhere:
        print(f"{', '.join(heard.elsewhere)} runs elsewhere: it still hears the others until the link ends")
    return 0


def _changed(faults: Faults, request: dict[str, Any]) -> Faults:
    match request["do"]:
        case "partition":
            return faults.partition(request["one"], request["other"], both_ways=request["both_ways"])
        case "skew":
            return faults.skew(request["name"], request["seconds"])
    return faults.heal()


def _said(request: dict[str, Any]) -> str:
    match request["do"]:
        case "partition":
            return partitioned_sentence(request["one"], request["other"], request["both_ways"])
        case "skew":
            return skewed_sentence(request["name"], request["seconds"])
    return "healed"
