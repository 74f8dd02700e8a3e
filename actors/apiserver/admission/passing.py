"""Admission of what only passes through and is stored nowhere: bindings, evictions, requests for tokens.

Each is a CREATE of its own kind, on a subresource of what it is about: "pods/binding" in rules of webhooks.
"""

from __future__ import annotations

from dataclasses import replace

from actors.apiserver.admission.attributes import Attributes
from actors.apiserver.admission.stages import Admission
from actors.apiserver.callers import Caller
from actors.apiserver.calls import Call
from actors.apiserver.incoming import accept_kind
from actors.apiserver.schema.resources import Resource
from actors.apiserver.schema.types import Types
from protocols.objects import Object, namespace_of


class Passing:
    def __init__(self, admission: Admission, types: Types) -> None:
        self._admission = admission
        self._types = types

    async def admit(self, call: Call, obj: Object, api_version: str, kind: str) -> Object:
        """What became of it. Raises what a plugin, policy or webhook refuses with."""
        attributes = Attributes(
            "CREATE",
            call.resource,
            call.namespace,
            call.caller,
            obj,
            subresource=call.subresource,
            dry_run=call.dry_run,
            warnings=call.warnings,
            annotations=call.annotations,
            options=call.options,
        )

        async def accepted(changed: Object, seen_as: Resource) -> Object:
            again = replace(call, resource=seen_as, validation="Ignore")
            new = accept_kind(self._types, again, changed, api_version, kind)
            self._admission.chain.complete(replace(attributes, obj=new))
            return new

        self._admission.chain.complete(attributes)
        await self._admission.mutate(attributes, accepted)
        self._admission.chain.judge(attributes)
        await self._admission.ask(attributes)
        return attributes.obj

    def admit_plain(self, caller: Caller, resource: Resource, subresource: str, obj: Object) -> Object:
        """The same where no webhook and no policy is asked: nothing is waited for."""
        attributes = Attributes("CREATE", resource, namespace_of(obj), caller, obj, subresource=subresource)
        self._admission.chain.complete(attributes)
        self._admission.chain.judge(attributes)
        return attributes.obj

    def is_plain(self, resource: Resource, subresource: str) -> bool:
        """Whether no webhook or policy is about it, by their rules alone: the same for all requests of a moment."""
        return not self._admission.may_concern("CREATE", resource, subresource)
