"""CertificateSigningRequests: what may be asked for, and what may be said about it.

The request itself is read by `cryptography`, imported with the first one.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator
from typing import Any

from actors.apiserver.rules import names
from actors.apiserver.rules.field import (
    FieldErrors,
    duplicate,
    forbidden,
    invalid_value,
    not_supported,
    required,
    too_long,
)
from protocols.objects import Object
from protocols.rules.certificate_signers import LEGACY

_USAGES = (
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
)
_SECONDS_MIN = 600
_DOMAIN_BYTES_MAX = 253
_SIGNER_BYTES_MAX = 571
_ALWAYS_TRUE = ("Approved", "Denied", "Failed")


def signing_request(obj: Object, old: Object | None) -> FieldErrors:
    """The main endpoint: its spec is decided when it is made."""
    if old is not None:
        return
    spec = obj.get("spec") or {}
    yield from _request(spec.get("request") or "")
    yield from _usages(spec.get("usages") or ())
    yield from _signer_name(spec.get("signerName") or "")
    seconds = spec.get("expirationSeconds")
    if seconds is not None and seconds < _SECONDS_MIN:
        why = "may not specify a duration less than 600 seconds (10 minutes)"
        yield invalid_value("spec.expirationSeconds", seconds, why)


def approval(obj: Object, old: Object | None) -> FieldErrors:
    conditions = (obj.get("status") or {}).get("conditions") or []
    yield from _conditions(conditions)
    before = ((old or {}).get("status") or {}).get("conditions") or []
    yield from _none_removed(conditions, before)


def _none_removed(conditions: list[dict[str, Any]], before: list[dict[str, Any]]) -> FieldErrors:
    for type in _ALWAYS_TRUE:
        if _of_type(before, type) and not _of_type(conditions, type):
            yield forbidden("status.conditions", f"updates may not remove a condition of type {quoted(type)}")


def status(obj: Object, old: Object | None) -> FieldErrors:
    new, before = obj.get("status") or {}, (old or {}).get("status") or {}
    conditions, were = new.get("conditions") or [], before.get("conditions") or []
    yield from _conditions(conditions)
    for type in ("Approved", "Denied"):  # that is the approval endpoint's to say
        if len(_of_type(conditions, type)) > len(_of_type(were, type)):
            yield forbidden("status.conditions", f"updates may not add a condition of type {quoted(type)}")
    yield from _none_removed(conditions, were)
    if not before.get("certificate") and (certificate := new.get("certificate")):
        if b"-----BEGIN CERTIFICATE-----" not in (_decoded(certificate) or b""):
            yield invalid_value(
                "status.certificate", "<certificate data>", "must contain at least one CERTIFICATE PEM block"
            )
    elif new.get("certificate") != before.get("certificate"):
        yield forbidden("status.certificate", "field is immutable once set")


def quoted(text: str) -> str:
    return f'"{text}"'


def _request(encoded: str) -> FieldErrors:
    from actorkube.runtime.certificate_requests import RequestError, read_request

    try:
        read_request(_decoded(encoded) or b"")
    except RequestError as error:
        yield invalid_value("spec.request", encoded, str(error))


def _usages(usages: Any) -> FieldErrors:
    if not usages:
        yield required("spec.usages")
    for index, usage in enumerate(usages):
        if usage not in _USAGES:
            yield not_supported(f"spec.usages[{index}]", usage, _USAGES)
        elif usage in usages[:index]:
            yield duplicate(f"spec.usages[{index}]", usage)


def _signer_name(name: str) -> FieldErrors:
    if not name:
        yield required("spec.signerName")
    elif name == LEGACY:
        yield invalid_value("spec.signerName", name, "the legacy signerName is not allowed via this API version")
    elif name.count("/") != 1:
        why = "must be a fully qualified domain and path of the form 'example.com/signer-name'"
        yield invalid_value("spec.signerName", name, why)
    else:
        domain, _, path = name.partition("/")
        if len(domain) > _DOMAIN_BYTES_MAX:
            yield too_long("spec.signerName", _DOMAIN_BYTES_MAX)
        yield from _labels(domain, names.dns_label)
        if "." not in domain:
            why = "should be a domain with at least two segments separated by dots"
            yield invalid_value("spec.signerName", domain, why)
        yield from _labels(path, names.dns_subdomain)
        if len(name) > _SIGNER_BYTES_MAX:
            yield too_long("spec.signerName", _SIGNER_BYTES_MAX)


def _labels(text: str, form: Callable[[str], Iterator[str]]) -> FieldErrors:
    """Of the labels that are wrong the first."""
    for label in text.split("."):
        problems = list(form(label))
        for problem in problems:
            yield invalid_value("spec.signerName", text, f'validating label "{label}": {problem}')
        if problems:
            return


def _conditions(conditions: list[dict[str, Any]]) -> FieldErrors:
    seen: set[str] = set()
    for index, each in enumerate(conditions):
        where, type = f"status.conditions[{index}]", each.get("type") or ""
        if not type:
            yield required(f"{where}.type")
        elif type in seen:
            yield duplicate(f"{where}.type", type)
        seen.add(type)
        state = each.get("status") or ""
        if not state:
            yield required(f"{where}.status")
        elif type in _ALWAYS_TRUE and state != "True":
            yield not_supported(f"{where}.status", state, ("True",))
        elif state not in ("True", "False", "Unknown"):
            yield not_supported(f"{where}.status", state, ("False", "True", "Unknown"))
        if {"Approved", "Denied"} <= seen and type in ("Approved", "Denied"):
            yield invalid_value("status.conditions", type, "Approved and Denied conditions are mutually exclusive")


def _of_type(conditions: list[dict[str, Any]], type: str) -> list[dict[str, Any]]:
    return [each for each in conditions if each.get("type") == type]


def _decoded(encoded: str) -> bytes | None:
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None
