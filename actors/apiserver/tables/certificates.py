"""CertificateSigningRequests."""

from __future__ import annotations

from typing import Any

from actors.apiserver.elapsed import human_duration
from actors.apiserver.tables.cells import NONE, Columns, Printer, age, name_of_row
from protocols.objects import Object
from protocols.rules.certificate_signers import condition


def _signing_request(obj: Object) -> list[Any]:
    spec = obj.get("spec") or {}
    seconds = spec.get("expirationSeconds")
    duration = NONE if seconds is None else human_duration(seconds)
    who = spec.get("username") or ""
    return [name_of_row(obj), age(obj), spec.get("signerName") or NONE, who, duration, _state(obj)]


def _state(obj: Object) -> str:
    state = next((type for type in ("Denied", "Approved") if condition(obj, type)), "Pending")
    failed = ",Failed" if condition(obj, "Failed") else ""
    return state + failed + (",Issued" if (obj.get("status") or {}).get("certificate") else "")


SIGNING_REQUEST = Printer(
    Columns("Name", "Age", "SignerName", "Requestor", "RequestedDuration", "Condition"), _signing_request
)
