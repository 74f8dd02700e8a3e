"""Ports that a pod names twice: apply merges them, and of a name only the first is found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Port = dict[str, Any]
Placed = tuple[str, Port]

ALIKE_MAX = 16  # of one port, so many are named to each other: nobody reads more, and they would be told by the million


def ports(field: str, spec: dict[str, Any]) -> Iterator[str]:
    placed = [
        (f"{field}.{kind}[{index}].ports[{number}]", port)
        for kind in ("initContainers", "containers")
        for index, container in enumerate(spec.get(kind) or ())
        for number, port in enumerate(container.get("ports") or ())
    ]
    before: dict[tuple[object, object], list[Placed]] = {}
    for where, port in placed:
        if port.get("hostIP") and not port.get("hostPort"):
            yield f"{where}: hostIP set without hostPort: {_in_go(port)}"
        others = before.setdefault((port.get("containerPort"), port.get("protocol")), [])
        for other_where, other in others:
            if how := _alike(port, other):
                yield f"{where}: {how} port definition with {other_where}"
        if len(others) < ALIKE_MAX:
            others.append((where, port))
    yield from _names(placed)


def _names(placed: list[Placed]) -> Iterator[str]:
    first: dict[str, str] = {}
    for where, port in placed:
        name = port.get("name")
        if name and name in first:
            yield (
                f'{where}: duplicate port name "{name}" with {first[name]}, '
                f"services and probes that select ports by name will use {first[name]}"
            )
        elif name:
            first[name] = where


def _alike(port: Port, other: Port) -> str:
    """Of two that a container listens on alike."""
    host_ports = {port.get("hostPort") or 0, other.get("hostPort") or 0}
    host_ips = {port.get("hostIP") or "", other.get("hostIP") or ""}
    if len(host_ports) == len(host_ips) == 1:
        return "duplicate"
    if 0 in host_ports:
        return "overlapping"
    return "dangerously ambiguous" if len(host_ports) == 1 and "" in host_ips else ""


def _in_go(port: Port) -> str:
    values = {key: port.get(key) or "" for key in ("name", "protocol", "hostIP")}
    host, inner = port.get("hostPort") or 0, port.get("containerPort") or 0
    return (
        f"{{Name:{values['name']} HostPort:{host} ContainerPort:{inner} "
        f"Protocol:{values['protocol']} HostIP:{values['hostIP']}}}"
    )
