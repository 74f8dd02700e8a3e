"""Several bindings in one message: those that the watch cache lets happen are written together.

Each is a transaction of its own, so each pod has a revision of its own, and one that is refused keeps no other back. A
pod that the cache does not let be bound, or the store, is bound as if it had come alone: that finds out why not. Where
a webhook or a policy is about bindings, all of them are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from actorkube.runtime import Context
from actors.apiserver.access.attributes import Attributes
from actors.apiserver.access.authorizer import Authorizer
from actors.apiserver.admission.passing import Passing
from actors.apiserver.binding import bound
from actors.apiserver.cache import Cache
from actors.apiserver.callers import Caller
from actors.apiserver.commits import Change, Commits
from actors.apiserver.keys import object_key
from actors.apiserver.schema.resources import find
from actors.apiserver.writes import Refused
from protocols import api
from protocols.errors import Answer, AskError, BadRequest, StatusError, encode_error
from protocols.objects import Object, encode_object

TOGETHER_MAX = 256
_PODS = "pods"
BindOne = Callable[[api.Create, Caller], Awaitable[api.Stored]]


class Bindings:
    """`alone` makes one binding, with all that belongs to a request by itself."""

    def __init__(
        self,
        ctx: Context,
        cache: Cache,
        commits: Commits,
        authorizer: Authorizer,
        passing: Passing,
        alone: BindOne,
    ) -> None:
        resource = find(_PODS)
        assert resource is not None
        self._pods = resource
        self._ctx = ctx
        self._cache = cache
        self._commits = commits
        self._authorizer = authorizer
        self._passing = passing
        self._alone = alone

    async def bind(self, message: api.Bind, caller: Caller) -> api.BindOutcomes:
        """What became of each. Raises BadRequest when they are too many."""
        if not self._passing.is_plain(self._pods, "binding"):
            return await self.bind_one_by_one(message, caller)
        _check_number(message)
        decided = {n: self._decided(binding, caller) for n, binding in enumerate(message.bindings)}
        changes = {n: change for n, change in decided.items() if change is not None}
        written = dict(zip(changes, await self._commits.put_all(list(changes.values())), strict=True))
        errors = [b""] * len(message.bindings)
        for n, outcome in written.items():
            if isinstance(outcome, Answer | AskError):
                errors[n] = encode_error(outcome)
        left = [n for n in decided if isinstance(written.get(n), Refused | None)]
        for n, error in zip(left, await self._one_by_one([message.bindings[n] for n in left], caller), strict=True):
            errors[n] = error
        return api.BindOutcomes(tuple(errors))

    async def bind_one_by_one(self, message: api.Bind, caller: Caller) -> api.BindOutcomes:
        """As that many requests."""
        _check_number(message)
        return api.BindOutcomes(tuple(await self._one_by_one(message.bindings, caller)))

    def _decided(self, binding: api.Binding, caller: Caller) -> Change | None:
        """None: not by what is known here."""
        key = object_key(binding.namespace, binding.name)
        try:
            self._authorizer.permit(caller, Attributes("create", "", _PODS, "binding", binding.namespace, binding.name))
            item = self._cache.get(_PODS, key)
            if item is None:
                return None
            admitted = self._passing.admit_plain(caller, self._pods, "binding", as_object(binding))
            new = bound(self._pods, item.object(), admitted, self._ctx.now)
        except StatusError:
            return None
        return Change(self._pods, new, item.revision)

    async def _one_by_one(self, bindings: Sequence[api.Binding], caller: Caller) -> list[bytes]:
        return await asyncio.gather(*(self._outcome_alone(binding, caller) for binding in bindings))

    async def _outcome_alone(self, binding: api.Binding, caller: Caller) -> bytes:
        body = encode_object(as_object(binding))
        try:
            await self._alone(api.Create(_PODS, body, binding.namespace, binding.name, "binding"), caller)
        except (Answer, AskError) as error:
            return encode_error(error)
        return b""


def _check_number(message: api.Bind) -> None:
    if len(message.bindings) > TOGETHER_MAX:
        raise BadRequest(f"at most {TOGETHER_MAX} bindings go into one message, not {len(message.bindings)}")


def as_object(binding: api.Binding) -> Object:
    """The Binding that REST would be sent."""
    metadata = {"name": binding.name, "namespace": binding.namespace, **({"uid": binding.uid} if binding.uid else {})}
    target = {"apiVersion": "v1", "kind": "Node", "name": binding.node}
    return {"apiVersion": "v1", "kind": "Binding", "metadata": metadata, "target": target}
