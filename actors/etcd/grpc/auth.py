"""etcdserverpb.Auth: users, roles, and what those may; and tokens for those who say their passwords."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine
from typing import Any

from actors.etcd.grpc.access import DENIED, SECRET_BYTES, Access
from actors.etcd.grpc.calls import Call, Method
from actors.etcd.grpc.header import Header
from actors.etcd.grpc.messages import message
from actors.etcd.grpc.replica import Replica
from actors.etcd.grpc.status import Code, Refused
from protocols.etcd_auth import ChangeAuth, Permission, PermissionKind, RoleNotFound, UserNotFound

KINDS: tuple[PermissionKind, ...] = ("READ", "WRITE", "READWRITE")
NOT_GIVEN = Refused(Code.INVALID_ARGUMENT, "etcdserver: permission not given")
NO_USER = Refused(Code[UserNotFound.grpc_code], UserNotFound.etcd_text)
NO_ROLE = Refused(Code[RoleNotFound.grpc_code], RoleNotFound.etcd_text)
HASHED_HERE = Refused(Code.UNIMPLEMENTED, "etcdserver: passwords are hashed here: send the password itself")


class AuthService:
    def __init__(self, replica: Replica, header: Header, access: Access) -> None:
        self._replica = replica
        self._header = header
        self._access = access

    def methods(self) -> dict[bytes, Method]:
        own: dict[str, Callable[[Any, Call], Coroutine[Any, Any, Any]]] = {
            "AuthEnable": self.enable,
            "AuthDisable": self.disable,
            "AuthStatus": self.status,
            "Authenticate": self.authenticate,
            "UserAdd": self.add_user,
            "UserGet": self.get_user,
            "UserList": self.list_users,
            "UserChangePassword": self.change_password,
            "RoleGet": self.get_role,
            "RoleList": self.list_roles,
            "RoleGrantPermission": self.grant_permission,
            "RoleRevokePermission": self.revoke_permission,
        }
        changes: dict[str, Callable[[Any], ChangeAuth]] = {
            "UserDelete": lambda request: ChangeAuth("delete user", request.name),
            "UserGrantRole": lambda request: ChangeAuth("grant role", request.user, request.role),
            "UserRevokeRole": lambda request: ChangeAuth("revoke role", request.name, request.role),
            "RoleAdd": lambda request: ChangeAuth("add role", role=request.name),
            "RoleDelete": lambda request: ChangeAuth("delete role", role=request.role),
        }
        found = {**own, **{name: self._changing(name, change) for name, change in changes.items()}}
        return {
            b"/etcdserverpb.Auth/" + name.encode(): Method(message(f"etcdserverpb.{_stem(name)}Request"), plain=plain)
            for name, plain in found.items()
        }

    # -- whether it counts, and who is who ------------------------------------------------------------------------

    async def enable(self, _: Any, call: Call) -> Any:
        return await self._change("AuthEnable", ChangeAuth("enable", secret=os.urandom(SECRET_BYTES)), call)

    async def disable(self, _: Any, call: Call) -> Any:
        return await self._change("AuthDisable", ChangeAuth("disable"), call)

    async def status(self, _: Any, call: Call) -> Any:
        table = await self._access.require_root(call)
        return self._response("AuthStatus", enabled=table.enabled, authRevision=table.revision)

    async def authenticate(self, request: Any, call: Call) -> Any:
        token = await self._access.authenticate(request.name, request.password, call)
        return self._response("Authenticate", token=token)

    # -- users ----------------------------------------------------------------------------------------------------

    async def add_user(self, request: Any, call: Call) -> Any:
        password = "" if request.options.no_password else await self._hashed(request)
        return await self._change("UserAdd", ChangeAuth("add user", request.name, password=password), call)

    async def change_password(self, request: Any, call: Call) -> Any:
        change = ChangeAuth("change password", request.name, password=await self._hashed(request))
        return await self._change("UserChangePassword", change, call)

    async def get_user(self, request: Any, call: Call) -> Any:
        """Everybody may look at themselves."""
        await self._access.newest(call)
        auth = self._access.auth
        asking = self._access.user(call)
        if auth.enabled and asking != request.name and not auth.is_root(asking):
            raise DENIED
        user = auth.user(request.name)
        if user is None:
            raise NO_USER
        return self._response("UserGet", roles=user.roles)

    async def list_users(self, _: Any, call: Call) -> Any:
        table = await self._access.require_root(call)
        return self._response("UserList", users=[user.name for user in table.users])

    async def _hashed(self, request: Any) -> str:
        """Raises Refused for a hash that somebody else has made: it could not be checked here."""
        if request.hashedPassword:
            raise HASHED_HERE
        return await self._access.hashed(request.password)

    # -- roles ----------------------------------------------------------------------------------------------------

    async def get_role(self, request: Any, call: Call) -> Any:
        """Everybody may look at the roles that they have."""
        await self._access.newest(call)
        auth = self._access.auth
        asking = self._access.user(call)
        user = auth.user(asking)
        if auth.enabled and not auth.is_root(asking) and (user is None or request.role not in user.roles):
            raise DENIED
        role = auth.role(request.role)
        if role is None:
            raise NO_ROLE
        permission = message("authpb.Permission")
        found = [
            permission(permType=KINDS.index(one.kind), key=one.key, range_end=one.range_end) for one in role.permissions
        ]
        return self._response("RoleGet", perm=found)

    async def list_roles(self, _: Any, call: Call) -> Any:
        table = await self._access.require_root(call)
        return self._response("RoleList", roles=[role.name for role in table.roles])

    async def grant_permission(self, request: Any, call: Call) -> Any:
        return await self._change("RoleGrantPermission", granting(request), call)

    async def revoke_permission(self, request: Any, call: Call) -> Any:
        permission = Permission("READ", request.key, request.range_end)
        change = ChangeAuth("revoke permission", role=request.role, permission=permission)
        return await self._change("RoleRevokePermission", change, call)

    # -- all of them ----------------------------------------------------------------------------------------------

    def _changing(
        self, name: str, change: Callable[[Any], ChangeAuth]
    ) -> Callable[[Any, Call], Coroutine[Any, Any, Any]]:
        async def answer(request: Any, call: Call) -> Any:
            return await self._change(name, change(request), call)

        return answer

    async def _change(self, name: str, change: ChangeAuth, call: Call) -> Any:
        await self._replica.asked(self._access.guard(change, call), call.timeout_s)
        await self._access.newest(call)
        return self._response(name)

    def _response(self, name: str, **fields: Any) -> Any:
        response = message(f"etcdserverpb.{_stem(name)}Response")(**fields)
        self._header.fill(response.header)
        return response


def granting(request: Any) -> ChangeAuth:
    """What an AuthRoleGrantPermissionRequest asks for. Raises Refused."""
    if not request.HasField("perm") or not 0 <= request.perm.permType < len(KINDS):
        raise NOT_GIVEN
    asked = request.perm
    permission = Permission(KINDS[asked.permType], asked.key, asked.range_end)
    return ChangeAuth("grant permission", role=request.name, permission=permission)


def _stem(name: str) -> str:
    """What its messages are called by: all begin with Auth."""
    return name if name.startswith("Auth") else f"Auth{name}"
