"""Who sends an HTTP request: the subject of a client certificate (CN user, O groups), or the owner of a token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from actors.apiserver.callers import ANONYMOUS, AUTHENTICATED, Caller
from protocols.errors import Unauthorized


def authenticate(request: web.BaseRequest, tokens: Mapping[str, Caller]) -> Caller:
    """Raises Unauthorized for a token that is no good; who shows nothing is anonymous."""
    header = request.headers.get("Authorization", "")
    if header[:7].lower() == "bearer ":
        caller = tokens.get(header[7:].strip())
        if caller is None:
            raise Unauthorized("Unauthorized")
        return caller
    transport = request.transport
    certificate = transport.get_extra_info("peercert") if transport is not None else None
    return of_certificate(certificate) if certificate else ANONYMOUS


def of_certificate(certificate: Mapping[str, Any]) -> Caller:
    """The caller behind a certificate, in the form in which `ssl` hands it out; it has been verified by then."""
    names = [pair for part in certificate.get("subject", ()) for pair in part]
    user = next((value for key, value in names if key == "commonName"), "")
    groups = tuple(value for key, value in names if key == "organizationName")
    return Caller(user, (*groups, AUTHENTICATED)) if user else ANONYMOUS
