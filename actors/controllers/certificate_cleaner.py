"""The cleaner of CertificateSigningRequests: what was answered goes after an hour, what nobody answered after a day.

What has been issued goes, too, when its certificate has ended.
"""

from __future__ import annotations

import base64
import math

from actorkube.kube import Controller, Views, Watches
from actorkube.kube.writes import RequeueAfter, Write, delete
from protocols.objects import Object, meta
from protocols.rules.certificate_signers import RESOURCE, condition
from protocols.rules.times import seconds_of

_ANSWERED_S = 3600.0
_PENDING_S = 24 * 3600.0


def controller() -> Controller:
    return Controller("csrcleaner-controller", (Watches(RESOURCE),), reconcile)


def reconcile(key: str, views: Views, now: float) -> list[Write]:
    request = views[RESOURCE].get(key)
    if request is None or "deletionTimestamp" in meta(request):
        return []
    ends = goes_at(request)
    if now >= ends:
        return [delete(RESOURCE, request)]
    return [RequeueAfter(ends - now + 1)] if ends < math.inf else []


def goes_at(request: Object) -> float:
    """When nobody needs it any more, in seconds since the epoch."""
    status = request.get("status") or {}
    certificate = status.get("certificate")
    ends = [_certificate_ends(certificate)] if certificate else []
    for each in status.get("conditions") or ():
        answered = each.get("type") in ("Denied", "Failed") or (each.get("type") == "Approved" and certificate)
        if answered and each.get("lastUpdateTime"):
            ends.append(seconds_of(each["lastUpdateTime"]) + _ANSWERED_S)
    if not any(condition(request, type) for type in ("Approved", "Denied", "Failed")) and not certificate:
        ends.append(seconds_of(meta(request)["creationTimestamp"]) + _PENDING_S)
    return min(ends, default=math.inf)


def _certificate_ends(encoded: str) -> float:
    """One that cannot be read never ends: it was another signer's."""
    from actorkube.runtime.certificate_requests import RequestError, ends_at

    try:
        return ends_at(base64.b64decode(encoded))
    except (RequestError, ValueError):
        return math.inf
