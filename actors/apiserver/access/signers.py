"""Who may say yes to a CertificateSigningRequest, and who may sign it: `approve` and `sign` on the signer's name.

As Kubernetes' admission plugins CertificateApproval, CertificateSigning and CertificateSubjectRestriction.
"""

from __future__ import annotations

import base64
import binascii

from actors.apiserver.access.attributes import Attributes, quoted
from actors.apiserver.access.authorizer import Authorizer
from actors.apiserver.answers import forbidden
from actors.apiserver.calls import Call
from protocols.objects import Object
from protocols.rules.certificate_signers import API_CLIENT, MASTERS, RESOURCE

_GROUP = "certificates.k8s.io"


def identified(call: Call, obj: Object) -> Object:
    """Any new object. A request says who made it: the server's word, whatever its maker wrote."""
    if call.resource.group_resource != RESOURCE:
        return obj
    caller, spec = call.caller, {**(obj.get("spec") or {})}
    said = {
        "username": caller.user,
        "uid": caller.uid,
        "groups": list(caller.groups),
        "extra": {key: list(values) for key, values in caller.extra},
    }
    for key, value in said.items():
        spec.pop(key, None)
        if value:
            spec[key] = value
    return {**obj, "spec": spec}


def check_signers(authorizer: Authorizer, call: Call, new: Object, old: Object | None) -> None:
    """For any resource: raises Forbidden."""
    if call.resource.group_resource != RESOURCE:
        return
    signer = str((new.get("spec") or {}).get("signerName") or "")
    if old is None:
        _check_subject(call, new, signer)
    elif call.subresource == "approval":
        if not _may(authorizer, call, "approve", signer):
            raise _refusal(call, f"user not permitted to approve requests with signerName {quoted(signer)}")
    elif call.subresource == "status" and _signs(new, old) and not _may(authorizer, call, "sign", signer):
        raise _refusal(call, f"user not permitted to sign requests with signerName {quoted(signer)}")


def _check_subject(call: Call, new: Object, signer: str) -> None:
    """Members of system:masters are made with the CA's key, not by asking."""
    if signer != API_CLIENT:
        return
    from actorkube.runtime.certificate_requests import RequestError, read_request

    try:
        subject = read_request(base64.b64decode(new["spec"].get("request") or ""))
    except (RequestError, binascii.Error):
        return  # validation has refused it, and says why
    if MASTERS in subject.organizations:
        raise _refusal(call, f"use of {API_CLIENT} signer with {MASTERS} group is not allowed")


def _signs(new: Object, old: Object) -> bool:
    """Whether a certificate comes, or the signer's word that there will be none."""
    after, before = new.get("status") or {}, old.get("status") or {}
    return after.get("certificate") != before.get("certificate") or _failed(after) != _failed(before)


def _failed(status: Object) -> bool:
    return any(each.get("type") == "Failed" for each in status.get("conditions") or ())


def _may(authorizer: Authorizer, call: Call, verb: str, signer: str) -> bool:
    """By the signer's own name, or by its whole domain."""
    names = (signer, f"{signer.partition('/')[0]}/*")
    return any(authorizer.decide(call.caller, Attributes(verb, _GROUP, "signers", name=name)).allowed for name in names)


def _refusal(call: Call, why: str) -> Exception:
    return forbidden(call.resource, call.name, why)
