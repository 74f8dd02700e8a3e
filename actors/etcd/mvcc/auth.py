"""Who may do what: the users, their roles, and what those permit, as etcd's own store of them decides it.

A user may what any of its roles permits; ranges that touch or overlap permit what they cover together. The role root
permits everything, and need not be made. Deterministic, and a part of the store's state.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from actors.etcd.mvcc.leases import Leases
from actors.etcd.mvcc.span import Span
from protocols.errors import Answer
from protocols.etcd import (
    Compact,
    LeaseGrant,
    LeaseKeepAlive,
    LeaseList,
    LeaseRevoke,
    LeaseTimeToLive,
    Op,
    Range,
    Txn,
    WatchKeys,
)
from protocols.etcd_auth import (
    AuthTable,
    ChangeAuth,
    InvalidAuthManagement,
    Permission,
    PermissionDenied,
    PermissionKind,
    PermissionNotGranted,
    Role,
    RoleEmpty,
    RoleExists,
    RoleNotFound,
    RoleNotGranted,
    RootRoleMissing,
    RootUserMissing,
    User,
    UserEmpty,
    UserExists,
    UserNotFound,
)
from protocols.message import Done

ROOT = "root"

Guarded: TypeAlias = (
    Txn
    | Range
    | LeaseGrant
    | LeaseRevoke
    | LeaseKeepAlive
    | LeaseTimeToLive
    | LeaseList
    | Compact
    | WatchKeys
    | ChangeAuth
)


class Auth:
    def __init__(self) -> None:
        self.enabled = False
        self.revision = 1
        self.secret = b""
        self._users: dict[str, User] = {}
        self._roles: dict[str, Role] = {}

    @property
    def version(self) -> int:
        """Another one after each change; 0 while there has been none."""
        return 2 * (self.revision - 1) + self.enabled

    def table(self) -> AuthTable:
        users = tuple(self._users[name] for name in sorted(self._users))
        roles = tuple(self._roles[name] for name in sorted(self._roles))
        return AuthTable(self.enabled, self.revision, users, roles, self.secret)

    def load(self, table: AuthTable) -> None:
        self.enabled, self.revision, self.secret = table.enabled, table.revision, table.secret
        self._users = {user.name: user for user in table.users}
        self._roles = {role.name: role for role in table.roles}

    # -- who may do what ------------------------------------------------------------------------------------------

    def refusal(self, name: str, request: Guarded, leases: Leases) -> Answer | None:
        """Why that user may not do it; None: it may."""
        if not self.enabled:
            return None
        if not name:
            return UserEmpty("authentication is enabled: who asks?")
        user = self._users.get(name)
        if user is None:
            return PermissionDenied(f"there is no user {name}")
        if ROOT in user.roles:
            return None
        if isinstance(request, ChangeAuth):
            return PermissionDenied(f"{name} does not have the role {ROOT}")
        for kind, key, range_end in _needs(request, leases):
            if not self._permits(user, kind, Span.of(key, range_end)):
                return PermissionDenied(f"{name} has no permission to {kind} these keys")
        return None

    def is_root(self, name: str) -> bool:
        user = self._users.get(name)
        return user is not None and ROOT in user.roles

    def user(self, name: str) -> User | None:
        return self._users.get(name)

    def role(self, name: str) -> Role | None:
        return self._roles.get(name)

    def _permits(self, user: User, kind: PermissionKind, wanted: Span) -> bool:
        roles = [self._roles[name] for name in user.roles if name in self._roles]
        spans = [
            Span.of(permission.key, permission.range_end)
            for role in roles
            for permission in role.permissions
            if permission.kind in (kind, "READWRITE")
        ]
        return covered(wanted, spans)

    # -- changes --------------------------------------------------------------------------------------------------

    def change(self, change: ChangeAuth) -> Done | Answer:
        """Carry it out, or say why not: then nothing has changed."""
        refusal = self._change(change)
        if refusal is None and change.act != "enable":  # as etcd counts
            self.revision += 1
        return Done() if refusal is None else refusal

    def _change(self, change: ChangeAuth) -> Answer | None:
        match change.act:
            case "enable":
                return self._enable(change.secret)
            case "disable":
                self.enabled = False
                return None
            case "add user":
                return self._add_user(change)
            case "add role":
                return self._add_role(change.role)
            case "delete role":
                return self._delete_role(change.role)
            case "grant permission" | "revoke permission":
                return self._change_permission(change)
            case _:
                return self._change_user(change)

    def _enable(self, secret: bytes) -> Answer | None:
        if self.enabled:
            return None
        root = self._users.get(ROOT)
        if root is None:
            return RootUserMissing("there is no user root")
        if ROOT not in root.roles:
            return RootRoleMissing("the user root does not have the role root")
        self.enabled, self.secret = True, secret
        return None

    def _add_user(self, change: ChangeAuth) -> Answer | None:
        if not change.user:
            return UserEmpty("a user has a name")
        if change.user in self._users:
            return UserExists(f"there is a user {change.user} already")
        self._users[change.user] = User(change.user, change.password)
        return None

    def _change_user(self, change: ChangeAuth) -> Answer | None:
        user = self._users.get(change.user)
        if self._takes_root(change):
            return InvalidAuthManagement("somebody must be left who may change this")
        if user is None:
            return UserNotFound(f"there is no user {change.user}")
        roles = user.roles
        match change.act:
            case "delete user":
                del self._users[user.name]
                return None
            case "change password":
                self._users[user.name] = User(user.name, change.password, roles)
                return None
            case "grant role" if change.role != ROOT and change.role not in self._roles:
                return RoleNotFound(f"there is no role {change.role}")
            case "grant role":
                roles = tuple(sorted({*roles, change.role}))
            case _ if change.role not in roles:
                return RoleNotGranted(f"{user.name} does not have the role {change.role}")
            case _:
                roles = tuple(role for role in roles if role != change.role)
        self._users[user.name] = User(user.name, user.password, roles)
        return None

    def _takes_root(self, change: ChangeAuth) -> bool:
        if not self.enabled:
            return False
        if change.act == "delete role":
            return change.role == ROOT
        if change.user != ROOT:
            return False
        return change.act == "delete user" or (change.act == "revoke role" and change.role == ROOT)

    def _add_role(self, name: str) -> Answer | None:
        if not name:
            return RoleEmpty("a role has a name")
        if name in self._roles:
            return RoleExists(f"there is a role {name} already")
        self._roles[name] = Role(name)
        return None

    def _delete_role(self, name: str) -> Answer | None:
        if self._takes_root(ChangeAuth("delete role", role=name)):
            return InvalidAuthManagement("somebody must be left who may change this")
        if name not in self._roles:
            return RoleNotFound(f"there is no role {name}")
        del self._roles[name]
        for user in [user for user in self._users.values() if name in user.roles]:
            self._users[user.name] = User(user.name, user.password, tuple(r for r in user.roles if r != name))
        return None

    def _change_permission(self, change: ChangeAuth) -> Answer | None:
        role, permission = self._roles.get(change.role), change.permission
        if permission is None or (change.act == "grant permission" and not _is_range(permission)):
            return InvalidAuthManagement("a permission is for one key, or for keys that end after they begin")
        if role is None:
            return RoleNotFound(f"there is no role {change.role}")
        place = (permission.key, permission.range_end)
        others = [known for known in role.permissions if (known.key, known.range_end) != place]
        if change.act == "grant permission":
            others.append(permission)
        elif len(others) == len(role.permissions):
            return PermissionNotGranted(f"the role {role.name} has no permission for exactly these keys")
        self._roles[role.name] = Role(role.name, tuple(sorted(others, key=lambda one: (one.key, one.range_end))))
        return None


def _is_range(permission: Permission) -> bool:
    key, end = permission.key, permission.range_end
    return end == b"\0" or (bool(key) and (not end or key < end))


def covered(wanted: Span, spans: Iterable[Span]) -> bool:
    """Whether all keys of one span lie in some of the others."""
    low = wanted.low
    for span in sorted(spans, key=lambda span: span.low):
        if span.low > low:
            return False
        if span.high is None:
            return True
        low = max(low, span.high)
        if wanted.high is not None and low >= wanted.high:
            return True
    return False


def _needs(request: Guarded, leases: Leases) -> Iterator[tuple[PermissionKind, bytes, bytes]]:
    """Which permissions for which keys."""
    match request:
        case Range() | WatchKeys():
            yield "READ", request.key, request.range_end
        case Txn():
            yield from _needs_of_txn(request, leases)
        case LeaseRevoke():
            yield from _attached("WRITE", request.lease, leases)
        case LeaseTimeToLive() if request.keys:
            yield from _attached("READ", request.lease, leases)


def _needs_of_txn(txn: Txn, leases: Leases) -> Iterator[tuple[PermissionKind, bytes, bytes]]:
    """Of both branches, at any depth: which is taken must not be found out by who may not know."""
    for compare in txn.compare:
        yield "READ", compare.key, compare.range_end
    for op in (*txn.success, *txn.failure):
        yield from _needs_of_op(op, leases) if op.txn is None else _needs_of_txn(op.txn, leases)


def _needs_of_op(op: Op, leases: Leases) -> Iterator[tuple[PermissionKind, bytes, bytes]]:
    if op.kind == "range":
        asked = op.range
        yield ("READ", asked.key, asked.range_end) if asked is not None else ("READ", op.key, op.range_end)
        return
    yield "WRITE", op.key, op.range_end
    if op.prev_kv:
        yield "READ", op.key, op.range_end
    if op.lease:  # when it runs out, its keys go together
        yield from _attached("WRITE", op.lease, leases)


def _attached(kind: PermissionKind, lease: int, leases: Leases) -> Iterator[tuple[PermissionKind, bytes, bytes]]:
    found = leases.get(lease)
    for key in found.keys if found is not None else ():
        yield kind, key, b""
