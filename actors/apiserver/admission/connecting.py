"""Admission of connections (exec, attach, port-forward, proxy): policies and webhooks whose rules name CONNECT.

Nothing is stored and no plugin is about them. They are asked before anybody looks whether what shall be connected to
exists, as in Kubernetes; what a webhook makes of the options is what is done.
"""

from __future__ import annotations

from actors.apiserver.admission.attributes import Attributes
from actors.apiserver.admission.stages import Admission
from actors.apiserver.calls import Call
from actors.apiserver.connect_options import accepted
from actors.apiserver.schema.resources import Resource
from protocols.objects import Object


class Connecting:
    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    async def admit(self, call: Call, options: Object) -> Object:
        """What became of the options. Raises what a policy or webhook refuses with."""
        if not self._admission.may_concern("CONNECT", call.resource, call.subresource):
            return options
        attributes = Attributes(
            "CONNECT",
            call.resource,
            call.namespace,
            call.caller,
            options,
            subresource=call.subresource,
            warnings=call.warnings,
            annotations=call.annotations,
            named=call.name,
        )

        async def accept(changed: Object, seen_as: Resource) -> Object:
            return accepted(options["kind"], changed)

        await self._admission.mutate(attributes, accept)
        await self._admission.ask(attributes)
        return attributes.obj
