"""The status of a ResourceClaim: which devices it has, who may use them, and what their drivers say of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Any

from actors.apiserver.rules import addresses, names
from actors.apiserver.rules.field import (
    FieldErrors,
    forbidden,
    invalid_value,
    matches,
    one_of,
    required,
    too_long,
    too_many,
    unchanged,
)
from actors.apiserver.rules.validate.device_parts import (
    binding_conditions,
    configuration,
    data,
    driver,
    each,
    each_once,
    label,
    pool,
    tolerations,
)
from actors.apiserver.rules.validate.devices import CONFIG_MAX, request_names, request_reference, request_references
from actors.apiserver.rules.validate.scheduling import node_selector
from protocols.objects import Object

_CONSUMERS_MAX = 256
_RESULTS_MAX = 32
_CONDITIONS_MAX = 8
_ADDRESSES_MAX = 16
_INTERFACE_NAME_MAX, _HARDWARE_ADDRESS_MAX = 256, 128
_SOURCES = ("FromClaim", "FromClass")
_STATUSES = ("False", "True", "Unknown")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UUID_FORM = (
    "uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase hexadecimal "
    "characters"
)
_RESERVED = "status.reservedFor"
_ALLOCATION = "status.allocation"


def resource_claim_status(obj: Object, old: Object | None) -> FieldErrors:
    status, before = obj.get("status") or {}, (old or {}).get("status") or {}
    known = request_names((obj.get("spec") or {}).get("devices") or {})
    allocation, given = status.get("allocation"), before.get("allocation")
    yield from each_once(_RESERVED, status.get("reservedFor"), _CONSUMERS_MAX, _consumer, lambda each: each.get("uid"))
    allocated = [_id(result) for result in ((allocation or {}).get("devices") or {}).get("results") or ()]
    devices: Sequence[Object] = status.get("devices") or ()
    yield from each_once("status.devices", devices, len(devices), partial(_device, allocated), _id)
    if status.get("reservedFor") and allocation is None:
        yield forbidden(_RESERVED, "may not be specified when `allocated` is not set")
    elif (obj.get("metadata") or {}).get("deletionTimestamp") and _added(status, before):
        detail = "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set"
        yield forbidden(_RESERVED, detail)
    if allocation is not None and given is not None:
        yield from unchanged(_ALLOCATION, allocation, given)
    elif allocation is not None:
        yield from _allocated(allocation, known)


def _added(status: Object, before: Object) -> bool:
    return any(each not in (before.get("reservedFor") or ()) for each in status.get("reservedFor") or ())


def _consumer(field: str, consumer: Object) -> FieldErrors:
    for key in ("resource", "name", "uid"):
        if not consumer.get(key):
            yield required(f"{field}.{key}")


def _allocated(allocation: Object, known: dict[str, set[str]]) -> FieldErrors:
    devices, field = allocation.get("devices") or {}, f"{_ALLOCATION}.devices"
    yield from each(f"{field}.results", devices.get("results"), _RESULTS_MAX, partial(_result, known))
    yield from each(f"{field}.config", devices.get("config"), 2 * CONFIG_MAX, partial(_configuration, known))
    if allocation.get("nodeSelector") is not None:
        yield from node_selector(f"{_ALLOCATION}.nodeSelector", allocation["nodeSelector"])


def _result(known: dict[str, set[str]], field: str, result: Object) -> FieldErrors:
    yield from request_reference(f"{field}.request", result.get("request") or "", known)
    yield from _identity(field, result)
    yield from binding_conditions(field, result)
    yield from tolerations(f"{field}.tolerations", result.get("tolerations"))
    yield from _share(f"{field}.shareID", result.get("shareID"))


def _configuration(known: dict[str, set[str]], field: str, config: Object) -> FieldErrors:
    yield from one_of(f"{field}.source", config.get("source"), _SOURCES)
    yield from request_references(f"{field}.requests", config.get("requests"), known)
    yield from configuration(field, config)


def _device(allocated: list[str], field: str, device: Object) -> FieldErrors:
    """What a driver says of a device that the claim has."""
    yield from _identity(field, device)
    yield from _share(f"{field}.shareID", device.get("shareID"))
    if _id(device) not in allocated:
        yield invalid_value(field, _id(device), "must be an allocated device in the claim")
    conditions = device.get("conditions") or ()
    if len(conditions) > _CONDITIONS_MAX:
        yield too_many(f"{field}.conditions", len(conditions), _CONDITIONS_MAX)
    for index, condition in enumerate(conditions):
        yield from _condition(f"{field}.conditions[{index}]", condition)
    if device.get("data") is not None:
        yield from data(f"{field}.data", device["data"])
    if device.get("networkData") is not None:
        yield from _network(f"{field}.networkData", device["networkData"])


def _identity(field: str, device: Object) -> FieldErrors:
    yield from driver(f"{field}.driver", device.get("driver"))
    yield from pool(f"{field}.pool", device.get("pool"))
    yield from label(f"{field}.device", device.get("device"))


def _share(field: str, share: str | None) -> FieldErrors:
    if share is not None and not _UUID.fullmatch(share):
        yield invalid_value(field, share, _UUID_FORM)


def _condition(field: str, condition: Object) -> FieldErrors:
    yield from matches(f"{field}.type", condition.get("type") or "", names.label_key(condition.get("type") or ""))
    yield from one_of(f"{field}.status", condition.get("status"), _STATUSES)
    if not condition.get("lastTransitionTime"):
        yield required(f"{field}.lastTransitionTime", "must be set")
    if not condition.get("reason"):
        yield required(f"{field}.reason")


def _network(field: str, network: Object) -> FieldErrors:
    for key, most in (("interfaceName", _INTERFACE_NAME_MAX), ("hardwareAddress", _HARDWARE_ADDRESS_MAX)):
        if len(network.get(key) or "") > most:
            yield too_long(f"{field}.{key}", most)
    yield from each_once(f"{field}.ips", network.get("ips"), _ADDRESSES_MAX, _address)


def _address(field: str, value: str) -> FieldErrors:
    yield from matches(field, value, addresses.interface(value))


def _id(device: dict[str, Any]) -> str:
    """As Kubernetes writes a device, with its share where it has one."""
    parts = [device.get(key) or "" for key in ("driver", "pool", "device")]
    return "/".join([*parts, device["shareID"]] if device.get("shareID") else parts)
