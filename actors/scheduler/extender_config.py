"""`extenders` of a KubeSchedulerConfiguration: what kube-scheduler refuses is refused, with its line."""

from __future__ import annotations

import base64
import binascii
from typing import NamedTuple

from actors.scheduler.config_part import WEIGHT_MAX, WHOLE_MAX, Part
from actors.scheduler.extenders import HTTP_TIMEOUT_S, Extender, Tls
from protocols.rules.resources import is_extended

_FIELDS = (
    *("urlPrefix", "filterVerb", "preemptVerb", "prioritizeVerb", "weight", "bindVerb", "enableHTTPS", "tlsConfig"),
    *("httpTimeout", "nodeCacheCapable", "managedResources", "ignorable"),
)
_TLS = ("insecure", "serverName", "certFile", "keyFile", "caFile", "certData", "keyData", "caData")


class Extenders(NamedTuple):
    """`ignored`: resources of theirs that NodeResourcesFit is not to look at."""

    extenders: list[Extender]
    ignored: frozenset[str]


def extenders_of(part: Part | None) -> Extenders:
    found: list[Extender] = []
    ignored: set[str] = set()
    for item in part.items() if part is not None else ():
        extender, theirs = _extender(item)
        if extender.bind_verb and any(other.bind_verb for other in found):
            raise item.wrong("found multiple extenders implementing bind")
        found.append(extender)
        ignored |= theirs
    return Extenders(found, frozenset(ignored))


def _extender(part: Part) -> tuple[Extender, set[str]]:
    fields = part.fields(*_FIELDS)
    if "urlPrefix" not in fields:
        raise part.wrong("urlPrefix is missing")
    prefix = fields["urlPrefix"].text()
    if not prefix.startswith(("http://", "https://")):
        raise fields["urlPrefix"].wrong(f"{prefix!r} is no URL of http or https")
    prioritize = _text(fields.get("prioritizeVerb"))
    weight = fields["weight"].number(-WHOLE_MAX, WEIGHT_MAX) if "weight" in fields else 0
    if prioritize and weight <= 0:
        raise fields.get("weight", part).wrong("an extender with prioritizeVerb must have a positive weight")
    managed, ignored = _managed(fields.get("managedResources"))
    extender = Extender(
        prefix,
        _text(fields.get("filterVerb")),
        prioritize,
        _text(fields.get("bindVerb")),
        _text(fields.get("preemptVerb")),
        weight,
        fields["httpTimeout"].duration_s() if "httpTimeout" in fields else HTTP_TIMEOUT_S,
        _flag(fields.get("nodeCacheCapable")),
        _flag(fields.get("ignorable")),
        managed,
        _tls(fields),
    )
    return extender, ignored


def _managed(part: Part | None) -> tuple[frozenset[str], set[str]]:
    names: set[str] = set()
    ignored: set[str] = set()
    for item in part.items() if part is not None else ():
        fields = item.named("ignoredByScheduler")
        name = fields["name"].text()
        if not is_extended(name):
            raise fields["name"].wrong(f"{name!r} is an invalid extended resource name")
        if name in names:
            raise fields["name"].wrong(f"duplicate extender managed resource name {name!r}")
        names.add(name)
        if _flag(fields.get("ignoredByScheduler")):
            ignored.add(name)
    return frozenset(names), ignored


def _tls(fields: dict[str, Part]) -> Tls | None:
    """As kube-scheduler: without an authority the server need not show who it is."""
    if "tlsConfig" not in fields:
        return Tls(verifies=False) if _flag(fields.get("enableHTTPS")) else None
    tls = fields["tlsConfig"].fields(*_TLS)
    ca, cert, key = (_file_or_pem(tls, name) for name in ("ca", "cert", "key"))
    if bool(cert) != bool(key):
        raise fields["tlsConfig"].wrong("a certificate and its key go together")
    verifies = bool(ca) and not _flag(tls.get("insecure"))
    return Tls(verifies, _text(tls.get("serverName")), ca, cert, key)


def _file_or_pem(tls: dict[str, Part], name: str) -> str:
    """Where both are there, data is what counts."""
    data = tls.get(f"{name}Data")
    return _pem(data) if data is not None else _text(tls.get(f"{name}File"))


def _pem(part: Part) -> str:
    try:
        return base64.b64decode(part.text(), validate=True).decode()
    except (binascii.Error, ValueError):
        raise part.wrong("PEM in base64 is expected here") from None


def _text(part: Part | None) -> str:
    return part.text() if part is not None and part.value != "" else ""


def _flag(part: Part | None) -> bool:
    return part.flag() if part is not None else False
