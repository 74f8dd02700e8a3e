"""Where a service of the cluster answers: one of its ready endpoints, which needs no proxy on this machine.

As kube-apiserver with --enable-aggregator-routing; errors in its words (util/proxy, `ResolveEndpoint`).
"""

from __future__ import annotations

import random
from typing import Any

from actors.apiserver.admission.stored import Stored
from actors.apiserver.answers import not_found
from actors.apiserver.schema.resources import find
from protocols.errors import ServiceUnavailable
from protocols.objects import Object, name_of

HTTPS_PORT = 443


def resolve(stored: Stored, reference: dict[str, Any], chance: random.Random) -> tuple[str, int]:
    """Host and port for a ServiceReference (namespace, name, port). Raises ServiceUnavailable."""
    name, port = reference.get("name") or "", reference.get("port") or HTTPS_PORT
    key = f"{reference.get('namespace') or ''}/{name}"
    service = stored.get("services", key)
    if service is None:
        raise ServiceUnavailable(f'service "{name}" not found')
    spec = service.get("spec") or {}
    if spec.get("type") == "ExternalName":
        return str(spec.get("externalName") or ""), port
    if all(each.get("port") != port for each in spec.get("ports") or ()):
        raise ServiceUnavailable(f'no service port {port} found for service "{name}"')
    return service_address(service, stored.get("endpoints", key) or {"subsets": []}, str(port), chance)


def service_address(service: Object, endpoints: Object, port: str, chance: random.Random) -> tuple[str, int]:
    """One of the service's ready endpoints; `port` is a name, a number, or empty where there is only one. Raises
    ServiceUnavailable, NotFound where nobody has written endpoints: the service itself is said not to be found then."""
    wanted = _port_name(service, port)
    if not endpoints:
        resource = find("services")
        assert resource is not None
        raise not_found(resource, name_of(service))
    ready = [
        (str(address["ip"]), int(each["port"]))
        for subset in endpoints.get("subsets") or ()
        for each in subset.get("ports") or ()
        if (each.get("name") or "") == wanted
        for address in subset.get("addresses") or ()
    ]
    if not ready:
        raise ServiceUnavailable(f'no endpoints available for service "{name_of(service)}"')
    return chance.choice(ready)


def _port_name(service: Object, port: str) -> str:
    """A name is looked for among the endpoints alone."""
    ports = (service.get("spec") or {}).get("ports") or []
    if not port:
        return str(ports[0].get("name") or "") if len(ports) == 1 else ""
    if not port.isdecimal():
        return port
    named = [str(each.get("name") or "") for each in ports if str(each["port"]) == port]
    if not named:
        raise ServiceUnavailable(f'no service port {port} found for service "{name_of(service)}"')
    return named[0]


def server_name(reference: dict[str, Any]) -> str:
    """The name that the certificate of who answers for a service must have."""
    return f"{reference.get('name') or ''}.{reference.get('namespace') or ''}.svc"
