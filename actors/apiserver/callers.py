"""Who asks: a user and its groups, as Kubernetes knows them; and which user each system of a cluster is.

What they may do is written in roles (access/).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

MASTERS = "system:masters"
NODES = "system:nodes"
NODE_PREFIX = "system:node:"
AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"
CREDENTIAL_ID = "authentication.kubernetes.io/credential-id"  # in `extra`: what the caller has shown
ACCOUNTS = "system:serviceaccounts"
ACCOUNT_PREFIX = "system:serviceaccount:"

# The system that an actor lives in says which component it is.
_COMPONENTS = {
    "scheduler": "system:kube-scheduler",
    "controller-manager": "system:kube-controller-manager",
    "cloud-controller-manager": "system:cloud-controller-manager",
}
_API_SERVER = re.compile(r"apiserver(-[2-9])?")  # there may be several
_REPLICA = re.compile(r"etcd-\d+")
_SCHEDULER = re.compile(r"scheduler-[-a-z0-9]*[a-z0-9]")  # further ones, also those that joined
_MANAGERS = {"node": "kubelet"}
_NODE_COMPONENTS = {"kubelet": "system:node:{node}", "proxy": "system:kube-proxy", "runtime": "system:node:{node}"}


@dataclass(frozen=True, slots=True)
class Caller:
    """`uid` and `extra` are for reviews, and for whoever reads an audit log: no role looks at them."""

    user: str
    groups: tuple[str, ...]
    uid: str = field(default="", compare=False)
    extra: tuple[tuple[str, tuple[str, ...]], ...] = field(default=(), compare=False)

    @property
    def authenticated(self) -> bool:
        return UNAUTHENTICATED not in self.groups


ANONYMOUS = Caller("system:anonymous", (UNAUTHENTICATED,))
ADMIN = Caller("system:admin", (MASTERS, AUTHENTICATED))
SELF = Caller("system:apiserver", (MASTERS, AUTHENTICATED))


def service_account(namespace: str, name: str) -> Caller:
    return Caller(f"{ACCOUNT_PREFIX}{namespace}:{name}", (ACCOUNTS, f"{ACCOUNTS}:{namespace}", AUTHENTICATED))


def account_of(user: str) -> tuple[str, str] | None:
    """(namespace, name) of the service account that a user is; None for another user."""
    namespace, colon, name = user.removeprefix(ACCOUNT_PREFIX).partition(":")
    return (namespace, name) if user.startswith(ACCOUNT_PREFIX) and colon and namespace and name else None


def manager_of(caller: Caller) -> str:
    """The field manager of a component: kubelet, kube-scheduler, kube-controller-manager."""
    _, _, name = caller.user.partition(":")
    return _MANAGERS.get(name.partition(":")[0], name)


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


def is_component(system: str, schedulers_join: bool) -> bool:
    """Whether it is the name of a component that nobody may be who has joined; unless `schedulers_join`, that is also
    the name of a further scheduler."""
    if _API_SERVER.fullmatch(system) or _REPLICA.fullmatch(system):
        return True
    if _SCHEDULER.fullmatch(system):
        return not schedulers_join and system.rpartition("-")[2] not in _NODE_COMPONENTS
    return system in _COMPONENTS or system == "dns"


def of_system(system: str | None, users: Mapping[str, Caller]) -> Caller:
    """The caller behind an actor: `users` names more systems than the cluster's own.

    None is who asks without being an actor: a process of the cluster's own, a command line or a test. It is never a
    guest: for what one says so, its system is named (TcpTransport.opened).
    """
    if system is None:
        return ADMIN
    if system in users:
        return users[system]
    if _API_SERVER.fullmatch(system):
        return SELF
    if system == "dns":
        return service_account("kube-system", "kube-dns")
    if system in _COMPONENTS:
        return Caller(_COMPONENTS[system], (AUTHENTICATED,))
    node, _, component = system.rpartition("-")
    if node and component in _NODE_COMPONENTS:
        groups = (AUTHENTICATED,) if component == "proxy" else (NODES, AUTHENTICATED)
        return Caller(_NODE_COMPONENTS[component].format(node=node), groups)
    if _SCHEDULER.fullmatch(system):
        return Caller(_COMPONENTS["scheduler"], (AUTHENTICATED,))
    return Caller(f"system:actor:{system}", (AUTHENTICATED,))
