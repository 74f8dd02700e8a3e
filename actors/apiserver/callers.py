"""Who asks, and whether they may.

There is no RBAC evaluation yet: members of system:masters and the cluster's own components may do everything; everybody
else who is authenticated may only ask about themselves; who is not authenticated gets the server's health and version.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from actors.apiserver.answers import details
from actors.apiserver.schema.resources import Resource
from protocols.errors import Forbidden

MASTERS = "system:masters"
NODES = "system:nodes"
AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"

# The system that an actor lives in says which component it is.
_COMPONENTS = {
    "apiserver": "system:apiserver",
    "scheduler": "system:kube-scheduler",
    "controller-manager": "system:kube-controller-manager",
    "cloud-controller-manager": "system:cloud-controller-manager",
    "dns": "system:kube-dns",
}
_NODE_COMPONENTS = {"kubelet": "system:node:{node}", "proxy": "system:kube-proxy", "runtime": "system:node:{node}"}
_PUBLIC_PATHS = ("/healthz", "/livez", "/readyz", "/version")
_ABOUT_ONESELF = ("selfsubjectreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews")


@dataclass(frozen=True, slots=True)
class Caller:
    user: str
    groups: tuple[str, ...]

    @property
    def authenticated(self) -> bool:
        return UNAUTHENTICATED not in self.groups

    @property
    def trusted(self) -> bool:
        return MASTERS in self.groups or NODES in self.groups or self.user in _TRUSTED_USERS


ANONYMOUS = Caller("system:anonymous", (UNAUTHENTICATED,))
ADMIN = Caller("system:admin", (MASTERS, AUTHENTICATED))
SELF = Caller("system:apiserver", (MASTERS, AUTHENTICATED))
_TRUSTED_USERS = frozenset({*_COMPONENTS.values(), "system:kube-proxy"})


class GuestUsers(Mapping[str, Caller]):
    """Systems whose actors act as administrators; the names may change, each is a user of its own name."""

    def __init__(self, names: Mapping[str, None]) -> None:
        self._names = names

    def __getitem__(self, system: str) -> Caller:
        if system not in self._names:
            raise KeyError(system)
        return Caller(f"system:actor:{system}", (MASTERS, AUTHENTICATED))

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def of_system(system: str | None, users: Mapping[str, Caller]) -> Caller:
    """The caller behind an actor: `users` names more systems than the cluster's own.

    None is who asks without being an actor: the process that runs the system itself, a command line or a test.
    """
    if system is None:
        return ADMIN
    if system in users:
        return users[system]
    if system in _COMPONENTS:
        return Caller(_COMPONENTS[system], (AUTHENTICATED,))
    node, _, component = system.rpartition("-")
    if node and component in _NODE_COMPONENTS:
        groups = (AUTHENTICATED,) if component == "proxy" else (NODES, AUTHENTICATED)
        return Caller(_NODE_COMPONENTS[component].format(node=node), groups)
    return Caller(f"system:actor:{system}", (AUTHENTICATED,))


def authorize(caller: Caller, verb: str, resource: Resource, namespace: str, name: str, subresource: str = "") -> None:
    """Raises Forbidden in Kubernetes' words."""
    if not allowed(caller, resource):
        what = f"{resource.plural}/{subresource}" if subresource else resource.plural
        named = f'{resource.group_resource} "{name}"' if name else resource.group_resource
        where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
        raise Forbidden(
            f'{named} is forbidden: User "{caller.user}" cannot {verb} resource "{what}" '
            f'in API group "{resource.group}" {where}',
            details(resource, name),
        )


def allowed(caller: Caller, resource: Resource | None) -> bool:
    """Whether the caller may use a resource (None: one that does not exist)."""
    about_oneself = resource is not None and resource.plural in _ABOUT_ONESELF
    return caller.trusted or (caller.authenticated and about_oneself)


def authorize_path(caller: Caller, verb: str, path: str) -> None:
    """For paths that are no resources: health and version are for all, the rest for who is authenticated."""
    public = any(path == prefix or path.startswith(f"{prefix}/") for prefix in _PUBLIC_PATHS)
    if not (public or caller.authenticated):
        raise Forbidden(f'forbidden: User "{caller.user}" cannot {verb} path "{path}"')
