"""From a probe or hook of a pod (`httpGet`, `tcpSocket`) to what the runtime is asked to connect to. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from actors.kubelet.env import ConfigError
from protocols.cri import ProbeNetwork


def network_probe(container: Mapping[str, Any], id: str, probe: Mapping[str, Any], timeout_s: float) -> ProbeNetwork:
    """Raises ConfigError for a port name that the container does not have."""
    http = probe.get("httpGet")
    if http is None:
        tcp = probe["tcpSocket"]
        return ProbeNetwork(id, "tcp", port_of(container, tcp["port"]), timeout_s, tcp.get("host") or "")
    scheme: Literal["http", "https"] = "https" if http.get("scheme") == "HTTPS" else "http"
    path = str(http.get("path") or "/")
    headers = tuple((header["name"], header["value"]) for header in http.get("httpHeaders") or ())
    return ProbeNetwork(
        id,
        scheme,
        port_of(container, http["port"]),
        timeout_s,
        http.get("host") or "",
        path if path.startswith("/") else f"/{path}",
        headers,
    )


def port_of(container: Mapping[str, Any], port: int | str) -> int:
    if isinstance(port, int) or port.isdigit():
        return int(port)
    for known in container.get("ports") or ():
        if known.get("name") == port:
            return int(known["containerPort"])
    raise ConfigError(f"container {container.get('name')} has no port named {port}")
