"""Who stands before the door: by a token, or by the name in a client's certificate; and what is asked in whose name.

A token says who it is for and until when, signed with a secret that the store keeps, so every member's door knows it
from the others'. The user's password goes into the signature: a token ends with the password it was given for.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
from typing import Any

from actorkube.runtime import Context
from actors.etcd.commands import as_user
from actors.etcd.grpc.calls import Call
from actors.etcd.grpc.replica import Replica
from actors.etcd.grpc.status import Code, Refused
from actors.etcd.mvcc.auth import Auth
from protocols.errors import Answer, AskError
from protocols.etcd_auth import AuthTable, GetAuth, PermissionDenied, User, UserEmpty

TOKEN_S = 300  # as etcd's simple tokens; its clients ask for another one when theirs has ended
HASHING_MAX = 2  # passwords at once: each takes 16 MiB and some tens of milliseconds, in a thread
SCRYPT_N, SCRYPT_R, SCRYPT_P = 1 << 14, 8, 1
SALT_BYTES, SECRET_BYTES = 16, 32

NOT_ENABLED = Refused(Code.FAILED_PRECONDITION, "etcdserver: authentication is not enabled")
FAILED = Refused(Code.INVALID_ARGUMENT, "etcdserver: authentication failed, invalid user ID or password")
BAD_TOKEN = Refused(Code.UNAUTHENTICATED, "etcdserver: invalid auth token")
NOBODY = Refused(Code.INVALID_ARGUMENT, UserEmpty.etcd_text)
DENIED = Refused(Code.PERMISSION_DENIED, PermissionDenied.etcd_text)


class Access:
    """`auth` is what the member here was last heard to know. It decides who somebody is; what they may is decided by
    the replica that carries it out, at that moment."""

    def __init__(self, ctx: Context, replica: Replica) -> None:
        self.auth = Auth()
        self._ctx = ctx
        self._replica = replica
        self._hashing = asyncio.Semaphore(HASHING_MAX)

    def guard(self, request: Any, call: Call) -> Any:
        """What to ask the store instead. Raises Refused."""
        return as_user(self.user(call), request) if self.auth.enabled else request

    def user(self, call: Call) -> str:
        """In whose name it is asked; "" while nobody need say it. Raises Refused."""
        if not self.auth.enabled:
            return ""
        if call.token:
            return user_of(call.token, self.auth, self._ctx.now)
        if not call.common_name:
            raise NOBODY
        return call.common_name

    async def require_root(self, call: Call) -> AuthTable:
        """As of now. Raises Refused."""
        table = await self.newest(call)
        if self.auth.enabled and not self.auth.is_root(self.user(call)):
            raise DENIED
        return table

    async def newest(self, call: Call) -> AuthTable:
        """Raises Refused."""
        table = await self._replica.asked(GetAuth(), call.timeout_s)
        self._learn(table)
        return table

    async def refresh(self) -> None:
        """From the member here, which may lag a little; nobody waits for it."""
        try:
            self._learn(await self._ctx.ask(self._replica.local, GetAuth(serializable=True)))
        except (Answer, AskError):
            return

    def _learn(self, table: AuthTable) -> None:
        if (table.revision, table.enabled) != (
            self.auth.revision,
            self.auth.enabled,
        ) or table.secret != self.auth.secret:
            self.auth.load(table)

    # -- passwords ------------------------------------------------------------------------------------------------

    async def hashed(self, password: str) -> str:
        salt = os.urandom(SALT_BYTES)
        async with self._hashing:
            return f"scrypt${salt.hex()}${(await asyncio.to_thread(_scrypt, password, salt)).hex()}"

    async def authenticate(self, name: str, password: str, call: Call) -> str:
        """A token. Raises Refused, and takes as long whether there is such a user or not."""
        await self.newest(call)
        if not self.auth.enabled:
            raise NOT_ENABLED
        user = self.auth.user(name)
        salt, digest = _parts(user)
        async with self._hashing:
            found = await asyncio.to_thread(_scrypt, password, salt)
        if user is None or not digest or not hmac.compare_digest(found, digest):
            raise FAILED
        return token(user, self.auth.secret, self._ctx.now + TOKEN_S)


def token(user: User, secret: bytes, ends_at: float) -> str:
    said = f"{user.name.encode().hex()}.{int(ends_at)}"
    return f"{said}.{_signature(said, user, secret)}"


def user_of(text: bytes, auth: Auth, now: float) -> str:
    """Raises Refused."""
    said, _, signature = text.rpartition(b".")
    try:
        name_hex, ends_at = said.decode("ascii").split(".")
        name, is_over = bytes.fromhex(name_hex).decode(), int(ends_at) <= now
    except ValueError as error:
        raise BAD_TOKEN from error
    user = auth.user(name)
    if user is None or is_over:
        raise BAD_TOKEN
    if not hmac.compare_digest(_signature(said.decode(), user, auth.secret).encode(), signature):
        raise BAD_TOKEN
    return name


def _signature(said: str, user: User, secret: bytes) -> str:
    return hmac.new(secret, f"{said}.{user.password}".encode(), hashlib.sha256).hexdigest()


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=SCRYPT_N, r=SCRYPT_R, p=SCRYPT_P, dklen=32)


def _parts(user: User | None) -> tuple[bytes, bytes]:
    """Salt and hash; of nobody, and of who has no password, some that fit none."""
    if user is None or not user.password:
        return bytes(SALT_BYTES), b""
    _, salt, digest = user.password.split("$")
    return bytes.fromhex(salt), bytes.fromhex(digest)
