"""Who sends an HTTP request: the subject of a client certificate (CN user, O groups), or the owner of a token."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any, cast

from aiohttp import web

from actors.apiserver.callers import ANONYMOUS, AUTHENTICATED, CREDENTIAL_ID, Caller
from actors.apiserver.rest.connections import Connection
from actors.apiserver.tokens.authenticator import TokenAuthenticator
from actors.apiserver.tokens.claims import NotValid
from protocols.errors import Unauthorized

_TOKEN_PROTOCOL = "base64url.bearer.authorization.k8s.io."


def bearer_token(request: web.BaseRequest) -> str | None:
    header = request.headers.get("Authorization", "")
    return header[7:].strip() if header[:7].lower() == "bearer " else _token_of_socket(request)


def offered_protocols(request: web.BaseRequest) -> tuple[str, ...]:
    """What a WebSocket may speak, but for what is a token in disguise."""
    return tuple(name for name in _protocols(request) if not name.startswith(_TOKEN_PROTOCOL))


def _token_of_socket(request: web.BaseRequest) -> str | None:
    """A browser cannot set a WebSocket's headers: it offers its token as one of the protocols. What does not decode is
    no good token."""
    shown = [name for name in _protocols(request) if name.startswith(_TOKEN_PROTOCOL)]
    if not shown:
        return None
    text = shown[0].removeprefix(_TOKEN_PROTOCOL)
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars="-_", validate=True).decode()
    except ValueError:
        return text


def _protocols(request: web.BaseRequest) -> list[str]:
    return [name.strip() for name in request.headers.get("Sec-WebSocket-Protocol", "").split(",") if name.strip()]


def authenticates_as_nobody(request: web.BaseRequest) -> bool:
    """Neither a certificate nor a token: nothing that is stored says who that is."""
    transport = request.transport
    return bearer_token(request) is None and not (transport and transport.get_extra_info("peercert"))


def authenticate(request: web.BaseRequest, tokens: TokenAuthenticator) -> Caller:
    """A certificate counts before a token. Raises Unauthorized for a token that is no good; nobody is anonymous."""
    if (caller := _certified(request)) is not ANONYMOUS:
        return caller
    token = bearer_token(request)
    if token is not None:
        try:
            return tokens.find(token).caller
        except NotValid:
            raise Unauthorized("Unauthorized") from None
    return ANONYMOUS


def _certified(request: web.BaseRequest) -> Caller:
    """A connection has one certificate from its handshake to its end."""
    connection, transport = cast(Connection, request.protocol), request.transport
    if connection.certified is None:
        certificate = transport.get_extra_info("peercert") if transport is not None else None
        caller = of_certificate(certificate or {})
        if transport is not None and caller is not ANONYMOUS:
            shown: bytes = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
            caller = replace(caller, extra=((CREDENTIAL_ID, (f"X509SHA256={sha256(shown).hexdigest()}",)),))
        connection.certified = caller
    return connection.certified


def of_certificate(certificate: Mapping[str, Any]) -> Caller:
    """The caller behind a certificate, in the form in which `ssl` hands it out; it has been verified by then."""
    names = [pair for part in certificate.get("subject", ()) for pair in part]
    user = next((value for key, value in names if key == "commonName"), "")
    groups = tuple(value for key, value in names if key == "organizationName")
    return Caller(user, (*groups, AUTHENTICATED)) if user else ANONYMOUS
