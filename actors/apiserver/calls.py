"""One request on its way through the pipeline: who asks, about what, and how. REST and actors fill in the same form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from actors.apiserver.callers import Caller
from actors.apiserver.keys import object_key
from actors.apiserver.schema.check import FieldValidation
from actors.apiserver.schema.resources import Resource, find
from protocols.objects import Object


@dataclass(slots=True)
class Call:
    """`revision` 0: no particular one is expected. `warnings` and `created` are filled in on the way.

    `untracked`: what is created starts without managedFields, and so stays until somebody applies to it. Components
    create most objects, nobody looks who owns their fields, and a pod is a third smaller without them.

    `shown`: the answer is the object in JSON.
    """

    caller: Caller
    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    revision: int = 0
    dry_run: bool = False
    manager: str = ""
    force: bool = False
    untracked: bool = False
    validation: FieldValidation = "Warn"
    warnings: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)  # what the body says twice
    patched: bool = False  # and that of a patch
    created: bool = False
    shown: bool = False
    options: Object = field(default_factory=dict)  # what of the request's options was said, as webhooks are told
    annotations: dict[str, str] | None = None  # of the audit, where there is one: admission adds to them
    sent: Callable[[Object], None] | None = None  # told of the object that was sent, once it is understood

    @property
    def key(self) -> str:
        return object_key(self.namespace, self.name)

    @property
    def judged(self) -> Resource:
        """Whose rules hold for what the caller sends: a custom resource has them in every version."""
        return self.resource if self.resource.custom is not None else self.stored

    @property
    def stored(self) -> Resource:
        """The resource that the objects are kept as; not the call's own for an alias (events.k8s.io) or a version."""
        if self.resource.custom is not None:
            return self.resource.custom.storage
        if not self.resource.alias:
            return self.resource
        resource = find(self.resource.storage)
        assert resource is not None, self.resource.storage
        return resource
