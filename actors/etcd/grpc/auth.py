"""etcdserverpb.Auth: it is off, nobody is known, and clients are told so in etcd's words.

Who may call is decided by TLS: with `--trusted-ca-file`, whoever has a certificate of that authority.
"""

from __future__ import annotations

from typing import Any

from actors.etcd.grpc.calls import Call, Method
from actors.etcd.grpc.header import Header
from actors.etcd.grpc.messages import message
from actors.etcd.grpc.status import Code, Refused

IS_OFF = Refused(Code.FAILED_PRECONDITION, "etcdserver: authentication is not enabled")
NO_ROOT = Refused(Code.FAILED_PRECONDITION, "etcdserver: root user does not exist")
NO_USER = Refused(Code.FAILED_PRECONDITION, "etcdserver: user name not found")
NO_ROLE = Refused(Code.FAILED_PRECONDITION, "etcdserver: role name not found")
NOT_KEPT = Refused(Code.UNIMPLEMENTED, "etcdserver: users and roles are not kept here: use client certificates")
REFUSALS = {
    "AuthEnable": NO_ROOT,
    "Authenticate": IS_OFF,
    **dict.fromkeys(("UserGet", "UserDelete", "UserChangePassword", "UserGrantRole", "UserRevokeRole"), NO_USER),
    **dict.fromkeys(("RoleGet", "RoleDelete", "RoleGrantPermission", "RoleRevokePermission"), NO_ROLE),
    **dict.fromkeys(("UserAdd", "RoleAdd"), NOT_KEPT),
}


class Auth:
    def __init__(self, header: Header) -> None:
        self._header = header

    def methods(self) -> dict[bytes, Method]:
        """What is refused is refused whatever it says, so the fields of its request are read by nobody."""
        said = {
            "AuthStatus": self._saying("AuthStatus", authRevision=1),
            "AuthDisable": self._saying("AuthDisable"),
            "UserList": self._saying("AuthUserList"),
            "RoleList": self._saying("AuthRoleList"),
            **{name: self._refusing(refusal) for name, refusal in REFUSALS.items()},
        }
        return {b"/etcdserverpb.Auth/" + name.encode(): method for name, method in said.items()}

    def _saying(self, name: str, **fields: Any) -> Method:
        def answer(_: Any, call: Call) -> None:
            response = message(f"etcdserverpb.{name}Response")(**fields)
            self._header.fill(response.header)
            call.reply(response)

        return Method(message(f"etcdserverpb.{name}Request"), answer)

    def _refusing(self, refusal: Refused) -> Method:
        def answer(_: Any, call: Call) -> None:
            call.fail(refusal)

        return Method(message("etcdserverpb.AuthStatusRequest"), answer)
