"""The store's API for who may do what: users, roles, and requests that are asked in a user's name.

Like everything else in the store it goes through the log, so all replicas agree on it. Actors of the cluster itself are
not asked who they are; the doors for etcd's clients ask in the name of whoever stands before them (`AsUser`).
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from protocols.etcd import EtcdAnswer
from protocols.message import Done, Message, Request

PermissionKind: TypeAlias = Literal["READ", "WRITE", "READWRITE"]
AuthAct: TypeAlias = Literal[
    "enable",
    "disable",
    "add user",
    "delete user",
    "change password",
    "grant role",
    "revoke role",
    "add role",
    "delete role",
    "grant permission",
    "revoke permission",
]


class UserEmpty(EtcdAnswer):
    """Nobody is named, where somebody must be."""

    etcd_text = "etcdserver: user name is empty"


class UserExists(EtcdAnswer):
    """There is such a user already."""

    grpc_code, etcd_text = "FAILED_PRECONDITION", "etcdserver: user name already exists"


class UserNotFound(EtcdAnswer):
    """There is no such user."""

    grpc_code, etcd_text = "FAILED_PRECONDITION", "etcdserver: user name not found"


class RoleEmpty(EtcdAnswer):
    """A role has a name."""

    etcd_text = "etcdserver: role name is empty"


class RoleExists(EtcdAnswer):
    """There is such a role already."""

    grpc_code, etcd_text = "FAILED_PRECONDITION", "etcdserver: role name already exists"


class RoleNotFound(EtcdAnswer):
    """There is no such role."""

    grpc_code, etcd_text = "FAILED_PRECONDITION", "etcdserver: role name not found"


class RoleNotGranted(EtcdAnswer):
    """The user does not have the role."""

    grpc_code, etcd_text = "FAILED_PRECONDITION", "etcdserver: role is not granted to the user"


class PermissionNotGranted(EtcdAnswer):
    """The role has no permission for exactly these keys."""

    grpc_code, etcd_text = "FAILED_PRECONDITION", "etcdserver: permission is not granted to the role"


class RootUserMissing(EtcdAnswer):
    """Nobody could ever change anything again: add the user root first."""

    grpc_code, etcd_text = "FAILED_PRECONDITION", "etcdserver: root user does not exist"


class RootRoleMissing(EtcdAnswer):
    """Nobody could ever change anything again: grant the role root to the user root first."""

    grpc_code, etcd_text = "FAILED_PRECONDITION", "etcdserver: root user does not have root role"


class InvalidAuthManagement(EtcdAnswer):
    """It would leave nobody who may change anything, or names keys that end before they begin."""

    etcd_text = "etcdserver: invalid auth management"


class PermissionDenied(EtcdAnswer):
    """The user may not do that. It did not happen."""

    grpc_code, etcd_text = "PERMISSION_DENIED", "etcdserver: permission denied"


class AuthIsOn(EtcdAnswer):
    """A door asked in nobody's name, and has not heard yet that names are needed. It did not happen."""

    grpc_code, etcd_text = "UNAVAILABLE", "etcdserver: authentication was enabled a moment ago"


class Permission(msgspec.Struct, frozen=True, array_like=True):
    """For keys in [key, range_end); an empty end means the one key, b"\\0" no end."""

    kind: PermissionKind
    key: bytes
    range_end: bytes = b""


class User(msgspec.Struct, frozen=True, array_like=True):
    """`password` is a hash, with all that is needed to check one; "" never fits: the user comes by certificate."""

    name: str
    password: str
    roles: tuple[str, ...] = ()


class Role(msgspec.Struct, frozen=True, array_like=True):
    name: str
    permissions: tuple[Permission, ...] = ()


class AuthTable(Message):
    """All of it. `revision` counts the changes, from 1 on; `secret` signs tokens, and is another one each time that
    authentication is enabled."""

    enabled: bool = False
    revision: int = 1
    users: tuple[User, ...] = ()
    roles: tuple[Role, ...] = ()
    secret: bytes = b""


class GetAuth(Request[AuthTable]):
    """As of now: a majority has confirmed the leader that answers. `serializable`: as the replica asked has it."""

    serializable: bool = False


class ChangeAuth(Request[Done]):
    """One change. Which of the fields count follows from `act`."""

    act: AuthAct
    user: str = ""
    role: str = ""
    password: str = ""
    permission: Permission | None = None
    secret: bytes = b""


class AsUser(Request[Message]):
    """What a user asks: answered as the request is, or refused. `number` says which request `body` is (commands.py)."""

    user: str
    number: int
    body: bytes
