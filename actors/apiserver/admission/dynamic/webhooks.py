"""Webhooks: those that mutate are asked one after the other, those that validate all at once.

A webhook that does not answer refuses the change, unless its failurePolicy is Ignore. After a webhook has changed an
object, the plugins complete it again, and webhooks that want to see what others did (reinvocationPolicy IfNeeded) are
asked once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NamedTuple

from actors.apiserver.admission.attributes import Attributes, Operation
from actors.apiserver.admission.dynamic.conditions import ConditionError, hold, values_of
from actors.apiserver.admission.dynamic.matching import (
    MUTATING_WEBHOOKS,
    VALIDATING_WEBHOOKS,
    Match,
    match,
    may_concern,
)
from actors.apiserver.admission.dynamic.review import BadReply, Reply, denied, reply_of, request_of, review
from actors.apiserver.admission.stored import Stored
from actors.apiserver.conversions import Conversions
from actors.apiserver.outward.client import Client, Unreachable
from actors.apiserver.patch.json_patch import REJECTED, json_patch
from actors.apiserver.schema.resources import Resource
from protocols.errors import BadRequest, InternalError, StatusError
from protocols.objects import Object, name_of

Hook = dict[str, Any]
# What becomes of an object that a webhook patched, in the version it saw: checked, completed, and as it will be stored.
Accept = Callable[[Object, Resource], Awaitable[Object]]
Versions = Callable[[Resource], Iterable[Resource]]

_TIMEOUT_S = 10.0
_HARMLESS = ("None", "NoneOnDryRun")


class Asked(NamedTuple):
    """`request` is what the webhook is told."""

    hook: Hook
    match: Match
    request: Object


class Webhooks:
    """`versions` gives all versions that a resource is served in; `new_uid` makes the ids of requests."""

    def __init__(
        self,
        stored: Stored,
        client: Client,
        versions: Versions,
        new_uid: Callable[[], str],
        conversions: Conversions,
    ) -> None:
        self._conversions = conversions
        self._stored = stored
        self._client = client
        self._versions = versions
        self._new_uid = new_uid

    def mutating(self) -> bool:
        """Whether there is any that could want to change something."""
        return bool(self._stored.of(MUTATING_WEBHOOKS))

    def validating(self) -> bool:
        return bool(self._stored.of(VALIDATING_WEBHOOKS))

    def may_concern(self, operation: Operation, resource: Resource, subresource: str) -> bool:
        """Whether there is any that is about such changes, by its rules alone."""
        return any(
            may_concern(_hooks(self._stored, configurations), operation, version, subresource)
            for configurations in (MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS)
            if self._stored.of(configurations)
            for version in self._versions(resource)
        )

    async def mutate(self, attributes: Attributes, accept: Accept) -> None:
        """Changes `attributes.obj`. Raises what a webhook refuses with."""
        seen: dict[int, Object] = {}
        attributes.named = attributes.named or str(attributes.obj.get("metadata", {}).get("name", ""))
        changed = await self._round(attributes, accept, seen, again=False)
        if changed:
            await self._round(attributes, accept, seen, again=True)

    async def validate(self, attributes: Attributes) -> None:
        """Raises what the first that refuses, in the order of their names, refuses with."""
        found = [await self._one(hook, attributes) for hook in _hooks(self._stored, VALIDATING_WEBHOOKS)]
        asked = [each for each in found if each is not None]
        replies = await asyncio.gather(*(self._decided(each, attributes) for each in asked))
        for refusal in replies:
            if isinstance(refusal, StatusError):
                raise refusal

    async def _round(self, attributes: Attributes, accept: Accept, seen: dict[int, Object], *, again: bool) -> bool:
        changed = False
        hooks = enumerate(_hooks(self._stored, MUTATING_WEBHOOKS))
        for index, hook in hooks:
            if again and (hook.get("reinvocationPolicy") != "IfNeeded" or seen.get(index) in (None, attributes.obj)):
                continue
            asked = await self._one(hook, attributes)
            if asked is None:
                continue
            reply = await self._decided(asked, attributes, mutates=True)
            if isinstance(reply, StatusError):
                raise reply
            if reply is not None and reply.patch and attributes.obj:
                before = attributes.obj
                attributes.obj = await accept(_patched(asked, reply.patch), asked.match.resource)
                changed = changed or attributes.obj != before
            seen[index] = attributes.obj
        return changed

    async def _one(self, hook: Hook, attributes: Attributes) -> Asked | None:
        found = match(hook, attributes, self._stored, self._versions(attributes.requested))
        if found is None:
            return None
        return Asked(hook, found, await request_of(attributes, found.resource, self._new_uid(), self._conversions))

    async def _decided(
        self, asked: Asked, attributes: Attributes, *, mutates: bool = False
    ) -> Reply | StatusError | None:
        """Its answer, what it refuses with, or None where it is not asked, or does not answer and that is ignored."""
        hook, request = asked.hook, asked.request
        conditions = hook.get("matchConditions") or []
        try:
            if conditions and not hold(conditions, values_of(request)):
                return None
        except ConditionError as error:
            return None if _ignores(hook) else attributes.refusal(str(error))
        if attributes.dry_run and hook.get("sideEffects") not in _HARMLESS:
            return BadRequest(f'admission webhook "{hook["name"]}" does not support dry run')
        try:
            timeout_s = float(hook.get("timeoutSeconds") or _TIMEOUT_S)
            body = await self._client.post(hook.get("clientConfig") or {}, review(request), timeout_s)
            reply = reply_of(body, request["uid"], mutates=mutates)
        except (Unreachable, BadReply) as error:
            return None if _ignores(hook) else _failed(hook, error)
        for warning in reply.warnings:
            attributes.warn(warning)
        for key, value in reply.annotations.items():
            attributes.annotate(f"{hook['name']}/{key}", value)
        return reply if reply.allowed else denied(hook["name"], reply.status)


def _patched(asked: Asked, patch: list[dict[str, Any]]) -> Object:
    try:
        return json_patch(asked.request["object"], patch)
    except StatusError as error:
        raise InternalError(f"Internal error occurred: {error.message.removeprefix(f'{REJECTED}: ')}") from None


def _hooks(stored: Stored, configurations: str) -> list[Hook]:
    found = sorted(stored.of(configurations), key=name_of)
    return [hook for configuration in found for hook in configuration.get("webhooks") or ()]


def _ignores(hook: Hook) -> bool:
    return hook.get("failurePolicy") == "Ignore"


def _failed(hook: Hook, error: Exception) -> StatusError:
    how = "failed to call webhook: " if isinstance(error, Unreachable) else ""
    return InternalError(f'Internal error occurred: failed calling webhook "{hook["name"]}": {how}{error}')
