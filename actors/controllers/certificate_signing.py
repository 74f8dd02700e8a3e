"""The signers of Kubernetes' own signer names: who is approved gets a certificate, or is told why there will be none.

The cluster's CA signs: without one there is nobody to do it, and the controller is left out.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Collection
from typing import Any

from actorkube.kube import Controller, Views, Watches
from actorkube.kube.writes import UpdateStatus, Write
from protocols.objects import Object
from protocols.rules.certificate_signers import RESOURCE, SIGNED, Asked, condition, problem
from protocols.rules.times import time_of

# The request's PEM, usages, how long it shall be good in seconds, now -> the certificate's PEM.
Sign = Callable[[bytes, Collection[str], float, float], bytes]

_YEAR_S = 365 * 24 * 3600.0


def controller(sign: Sign) -> Controller:
    def reconcile(key: str, views: Views, now: float) -> list[Write]:
        request = views[RESOURCE].get(key)
        if request is None or not _is_due(request):
            return []
        return [UpdateStatus(RESOURCE, _answered(request, sign, now))]

    return Controller("csrsigning-controller", (Watches(RESOURCE),), reconcile)


def _is_due(request: Object) -> bool:
    if (request.get("status") or {}).get("certificate") or request["spec"].get("signerName") not in SIGNED:
        return False
    return condition(request, "Approved") and not condition(request, "Denied") and not condition(request, "Failed")


def _answered(request: Object, sign: Sign, now: float) -> Object:
    from actorkube.runtime.certificate_requests import RequestError, read_request  # with the first request

    spec, pem = request["spec"], base64.b64decode(request["spec"]["request"])
    usages = spec.get("usages") or ()
    try:
        why = problem(spec["signerName"], Asked(*read_request(pem)), usages)
        if not why:
            seconds = min(float(spec.get("expirationSeconds") or _YEAR_S), _YEAR_S)
            return _with_status(request, certificate=base64.b64encode(sign(pem, usages, seconds, now)).decode())
    except RequestError as error:
        why = str(error)
    moment = time_of(now)
    failed = {"type": "Failed", "status": "True", "reason": "SignerValidationFailure", "message": why}
    conditions = [*(request["status"].get("conditions") or ())]
    return _with_status(
        request, conditions=[*conditions, {**failed, "lastUpdateTime": moment, "lastTransitionTime": moment}]
    )


def _with_status(request: Object, **status: Any) -> Object:
    return {**request, "status": {**(request.get("status") or {}), **status}}
