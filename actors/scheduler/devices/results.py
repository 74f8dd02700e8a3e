"""What was chosen, as a claim's status tells it: the devices, their configuration, and where they can be used."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from actors.scheduler.devices.allocator import Class, Pick, Picks
from actors.scheduler.devices.requests import Wanted
from protocols.objects import Object, uid_of
from protocols.rules.quantity import format_quantity


def allocation(claim: Object, picks: Picks, classes: Callable[[str], Class | None]) -> Object:
    """`status.allocation` of the claim."""
    spec = (claim.get("spec") or {}).get("devices") or {}
    uid = uid_of(claim)
    devices: dict[str, Any] = {"results": [_result(pick, f"{uid}/{n}") for n, pick in enumerate(picks.devices)]}
    requests = len(spec.get("requests") or ())
    config = [*_of_classes(picks.chosen, classes), *_of_claim(spec.get("config") or (), picks.chosen)]
    if config:
        devices["config"] = [_for_all(each, requests) for each in config]
    selector = _where(picks.devices)
    return {"devices": devices, **({"nodeSelector": selector} if selector else {})}


def _result(pick: Pick, seed: str) -> dict[str, Any]:
    """`seed`: what a share's id follows from, so that deciding twice says the same."""
    device = pick.offered.device
    result: dict[str, Any] = {
        "request": pick.wanted.name,
        "driver": device.driver,
        "pool": device.pool,
        "device": device.name,
    }
    if pick.wanted.admin:
        result["adminAccess"] = True
    if pick.share is not None:
        result["shareID"] = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{seed}/{device}"))
        result["consumedCapacity"] = {name: _written(amount, pick, name) for name, amount in pick.share.items()}
    if pick.wanted.tolerations:
        result["tolerations"] = [dict(each) for each in pick.wanted.tolerations]
    return result


def _written(amount: int, pick: Pick, name: str) -> str:
    """In the way the device's own capacity is."""
    said = str(pick.offered.spec["capacity"][name]["value"])
    return format_quantity(amount, "BinarySI" if said.endswith("i") else "DecimalSI")


def _of_classes(chosen: Iterable[Wanted], classes: Callable[[str], Class | None]) -> Iterator[dict[str, Any]]:
    """That of each class once, for all requests that have devices of it."""
    by_class: dict[str, list[str]] = {}
    for wanted in chosen:
        by_class.setdefault(wanted.class_name, []).append(wanted.name)
    for name, requests in by_class.items():
        cls = classes(name)
        for config in cls.config if cls is not None else ():
            yield {"source": "FromClass", "requests": requests, **config}


def _of_claim(config: Iterable[Mapping[str, Any]], chosen: Iterable[Wanted]) -> Iterator[dict[str, Any]]:
    """That for alternatives which were not chosen is left out."""
    names = {name for wanted in chosen for name in (wanted.name, wanted.request)}
    for each in config:
        requests = each.get("requests") or []
        if not requests or not names.isdisjoint(requests):
            yield {"source": "FromClaim", **each, **({"requests": requests} if requests else {})}


def _for_all(config: dict[str, Any], requests: int) -> dict[str, Any]:
    """What is for all requests names none."""
    if len(config.get("requests") or ()) == requests:
        config = {key: value for key, value in config.items() if key != "requests"}
    return config


def _where(picks: Iterable[Pick]) -> dict[str, Any] | None:
    """A node selector for where all of them can be used; None: anywhere."""
    term: dict[str, list[Any]] = {}
    for pick in picks:
        node, selector = pick.offered.place
        if node:
            field = {"key": "metadata.name", "operator": "In", "values": [node]}
            return {"nodeSelectorTerms": [{"matchFields": [field]}]}
        for wanted in ((selector or {}).get("nodeSelectorTerms") or ())[:1]:
            for key in ("matchFields", "matchExpressions"):
                known = term.setdefault(key, [])
                known += [each for each in wanted.get(key) or () if each not in known]
    term = {key: each for key, each in term.items() if each}
    return {"nodeSelectorTerms": [term]} if term else None
