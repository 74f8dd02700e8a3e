"""What stands between a wish and the store, in its order: plugins, mutations, webhooks, and then those that judge."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

from actors.apiserver.access.attributes import Attributes as Asked
from actors.apiserver.access.attributes import Decision
from actors.apiserver.access.authorizer import Authorizer
from actors.apiserver.admission.attributes import Attributes, Operation
from actors.apiserver.admission.chain import Chain
from actors.apiserver.admission.dynamic.mutations import Mutations
from actors.apiserver.admission.dynamic.policies import Policies
from actors.apiserver.admission.dynamic.webhooks import Accept, Webhooks
from actors.apiserver.admission.quota.quotas import Quotas
from actors.apiserver.callers import Caller, service_account
from actors.apiserver.cel.authorization import asking
from actors.apiserver.schema.resources import Resource
from protocols.objects import Object


@dataclass(frozen=True, slots=True)
class Admission:
    chain: Chain
    webhooks: Webhooks
    policies: Policies
    mutations: Mutations
    quotas: Quotas
    authorizer: Authorizer

    def may_mutate(self) -> bool:
        return self.mutations.mutating() or self.webhooks.mutating()

    def may_concern(self, operation: Operation, resource: Resource, subresource: str) -> bool:
        """Whether a rule of any webhook or policy is about such changes."""
        dynamic = (self.webhooks, self.policies, self.mutations)
        return any(each.may_concern(operation, resource, subresource) for each in dynamic)

    async def mutate(self, attributes: Attributes, accept: Accept) -> None:
        """What policies and webhooks make of `attributes.obj`. Raises what one of them refuses with."""
        seen: dict[str, Object] = {}
        with self._asking_for(attributes.caller):
            await self.mutations.round(attributes, accept, seen, again=False)
            await self.webhooks.mutate(attributes, accept)
            await self.mutations.round(attributes, accept, seen, again=True)

    async def ask(self, attributes: Attributes) -> None:
        """Policies and webhooks that judge; they see what is about to be stored."""
        if not (self.policies.judging() or self.webhooks.validating()):
            return
        with self._asking_for(attributes.caller):
            await self.policies.judge(attributes)
            await self.webhooks.validate(attributes)

    def _asking_for(self, caller: Caller) -> AbstractContextManager[None]:
        def ask(account: str, asked: Asked) -> Decision:
            return self.authorizer.decide(service_account(*account.split("/")) if account else caller, asked)

        return asking(ask)
