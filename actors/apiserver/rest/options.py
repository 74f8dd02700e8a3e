"""The options that a request carries in its query, checked before anything is done with them.

What may not stand together is apimachinery's validation of ListOptions, CreateOptions, PatchOptions and their like.
"""

from __future__ import annotations

from collections.abc import Callable

from actors.apiserver.patch.managers import NAME_BYTES_MAX
from actors.apiserver.rest.params import FIELD_VALIDATIONS, Params
from actors.apiserver.rules.field import (
    FieldErrors,
    forbidden,
    invalid_value,
    not_supported,
    refusal,
    required,
    too_long,
)

_MATCH = "resourceVersionMatch"
_NOT_OLDER = "NotOlderThan"
_OF_LISTS = ("limit", "timeoutSeconds")
_OF_BODIES = ("gracePeriodSeconds",)
_NUMBERS = {
    "list": _OF_LISTS,
    "watch": _OF_LISTS,
    "delete": _OF_BODIES,
    "deletecollection": (*_OF_LISTS, *_OF_BODIES),
}


def check_options(verb: str, params: Params, *, applies: bool = False, has_body: bool = False) -> None:
    """Raises BadRequest for what cannot be read, Invalid for what may not stand there. `applies`: the patch is a
    server-side apply. `has_body`: a delete says there what it wants, and its query does not count."""
    _check_numbers(verb, params, has_body)

    def patching(given: Params) -> FieldErrors:
        yield from _applying(given) if applies else _not_applying(given)
        yield from _writing(given)

    checks: dict[str, tuple[tuple[str, Callable[[Params], FieldErrors]], ...]] = {
        "list": (("ListOptions", _listing),),
        "watch": (("ListOptions", _watching),),
        "create": (("CreateOptions", _writing),),
        "update": (("UpdateOptions", _writing),),
        "patch": (("PatchOptions", patching),),
        "delete": () if has_body else (("DeleteOptions", _dry_run),),
        "deletecollection": (*(() if has_body else (("DeleteOptions", _dry_run),)), ("ListOptions", _listing)),
    }
    for kind, check in checks.get(verb, ()):
        errors = list(check(params))
        if errors:
            raise refusal(f"{kind}.meta.k8s.io", "meta.k8s.io", kind, "", errors)


def _check_numbers(verb: str, params: Params, has_body: bool) -> None:
    for name in _NUMBERS.get(verb, ()):
        if not (has_body and name in _OF_BODIES):
            params.number(name)


def _listing(params: Params) -> FieldErrors:
    match, revision = params.text(_MATCH), params.text("resourceVersion")
    if match:
        if not revision:
            yield forbidden(_MATCH, f"{_MATCH} is forbidden unless resourceVersion is provided")
        if params.text("continue"):
            yield forbidden(_MATCH, f"{_MATCH} is forbidden when continue is provided")
        if match not in ("Exact", _NOT_OLDER):
            yield not_supported(_MATCH, match, ("Exact", _NOT_OLDER, ""))
        if match == "Exact" and revision == "0":
            yield forbidden(_MATCH, f'{_MATCH} "exact" is forbidden for resourceVersion "0"')
    if params.optional_flag("sendInitialEvents") is not None:
        yield forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list")


def _watching(params: Params) -> FieldErrors:
    match, initial = params.text(_MATCH), params.optional_flag("sendInitialEvents")
    if initial is not None and match != _NOT_OLDER:
        yield forbidden(_MATCH, f"sendInitialEvents requires setting {_MATCH} to {_NOT_OLDER}")
    if match:
        if initial is None:
            yield forbidden(_MATCH, f"{_MATCH} is forbidden for watch unless sendInitialEvents is provided")
        if match != _NOT_OLDER:
            yield not_supported(_MATCH, match, (_NOT_OLDER,))
    if params.text("continue"):
        yield forbidden(_MATCH, f"{_MATCH} is forbidden when continue is provided")


def _writing(params: Params) -> FieldErrors:
    manager, validation = params.text("fieldManager"), params.text("fieldValidation")
    if len(manager.encode()) > NAME_BYTES_MAX:
        yield too_long("fieldManager", NAME_BYTES_MAX)
    for position, character in enumerate(manager):
        if not character.isprintable():
            problem = f"invalid character U+{ord(character):04X} (at position {position})"
            yield invalid_value("fieldManager", manager, problem)
    yield from _dry_run(params)
    if validation not in FIELD_VALIDATIONS:
        yield not_supported("fieldValidation", validation, FIELD_VALIDATIONS)


def _dry_run(params: Params) -> FieldErrors:
    if set(params.texts("dryRun")) - {"All"}:
        yield not_supported("dryRun", params.texts("dryRun"), ("All",))


def _applying(params: Params) -> FieldErrors:
    if not params.text("fieldManager"):
        yield required("fieldManager", "is required for apply patch")


def _not_applying(params: Params) -> FieldErrors:
    if params.has("force"):
        yield forbidden("force", "may not be specified for non-apply patch")
