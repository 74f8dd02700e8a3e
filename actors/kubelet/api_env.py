"""How a container finds the API server: the variables that every one of them has, by which clients know it.

They name the Service `kubernetes`; where its port may not be listened on (below 1024 without a privilege), the server
that is behind it. Pure. Source: "Accessing the Kubernetes API from a Pod", and the kubelet's own names.
"""

from __future__ import annotations

from typing import Any

from protocols.objects import Object

NAME, NAMESPACE = "kubernetes", "default"
_PRIVILEGED_BELOW = 1024


def api_env(service: Object, endpoints: Object | None, may_listen_below_1024: bool) -> dict[str, str]:
    spec = service.get("spec") or {}
    host = str(spec.get("clusterIP") or "")
    ports = [(str(port.get("name") or ""), int(port["port"])) for port in spec.get("ports") or ()]
    behind = _first(endpoints or {})
    if behind is not None and ports and ports[0][1] < _PRIVILEGED_BELOW and not may_listen_below_1024:
        host, ports = behind[0], [(ports[0][0], behind[1])]
    if not host or not ports:
        return {}
    return _variables(host, ports)


def _variables(host: str, ports: list[tuple[str, int]]) -> dict[str, str]:
    first = ports[0][1]
    env = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": str(first)}
    env |= {f"KUBERNETES_SERVICE_PORT_{name.upper().replace('-', '_')}": str(port) for name, port in ports if name}
    env["KUBERNETES_PORT"] = f"tcp://{host}:{first}"
    for _, port in ports:
        prefix = f"KUBERNETES_PORT_{port}_TCP"
        env |= {prefix: f"tcp://{host}:{port}", f"{prefix}_PROTO": "tcp"}
        env |= {f"{prefix}_PORT": str(port), f"{prefix}_ADDR": host}
    return env


def _first(endpoints: Object) -> tuple[str, int] | None:
    subsets: list[dict[str, Any]] = endpoints.get("subsets") or []
    for subset in subsets:
        if subset.get("addresses") and subset.get("ports"):
            return str(subset["addresses"][0]["ip"]), int(subset["ports"][0]["port"])
    return None
