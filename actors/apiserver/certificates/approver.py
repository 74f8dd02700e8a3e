"""Says yes to the client certificates of kubelets, for those whom a role allows it.

As Kubernetes' csrapproving controller, which asks by SubjectAccessReviews; here it sits beside the authoriser. Who may
create `certificatesigningrequests/nodeclient` gets the first certificate of any node, who may create `selfnodeclient`
the next one of its own.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import Any

from actorkube.runtime import Context
from actors.apiserver.access.attributes import Attributes
from actors.apiserver.access.authorizer import Authorizer
from actors.apiserver.cache import Cache, Watcher
from actors.apiserver.callers import SELF, Caller
from actors.apiserver.calls import Call
from actors.apiserver.changes import Changes
from actors.apiserver.schema.resources import find
from actors.apiserver.selectors import select
from protocols.errors import Answer, AskError, Expired, NotFound
from protocols.objects import Object
from protocols.rules.certificate_signers import KUBELET_CLIENT, RESOURCE, Asked, condition, problem
from protocols.rules.times import time_of

_RETRY_S = 1.0
_EVENTS_TAKEN = 64
_GROUP, _PLURAL = "certificates.k8s.io", "certificatesigningrequests"
_MESSAGES = {
    "selfnodeclient": "Auto approving self kubelet client certificate after SubjectAccessReview.",
    "nodeclient": "Auto approving kubelet client certificate after SubjectAccessReview.",
}


class Approver:
    def __init__(self, ctx: Context, cache: Cache, changes: Changes, authorizer: Authorizer) -> None:
        self._ctx = ctx
        self._cache = cache
        self._changes = changes
        self._authorizer = authorizer
        self._changed = asyncio.Event()

    async def run(self) -> None:
        while True:
            watcher = self._follow()
            try:
                owed = dict.fromkeys(self._cache.of(RESOURCE).items)
                while True:
                    for key in owed:
                        await self._settle(key)
                    owed = await self._next(watcher)
            except Expired:
                continue
            finally:
                watcher.close()

    def _follow(self) -> Watcher:
        return self._cache.of(RESOURCE).watch(select(RESOURCE), self._cache.revision, self._changed.set)

    async def _next(self, watcher: Watcher) -> dict[str, None]:
        while not (changes := watcher.take(_EVENTS_TAKEN)):
            await self._changed.wait()
            self._changed.clear()
        return dict.fromkeys(change.item.key for change in changes if change.type != "DELETED")

    async def _settle(self, key: str) -> None:
        resource = find(RESOURCE)
        assert resource is not None
        call = Call(SELF, resource, "", key, "approval")
        while (item := self._cache.get(RESOURCE, key)) is not None and self._decided(item.object()) is not None:
            try:
                await self._changes.change(call, lambda request: self._decided(request) or request, as_is=True)
                return
            except NotFound:
                return
            except (Answer, AskError) as error:
                self._ctx.log.info("a certificate is approved later", request=key, error=str(error))
                await self._ctx.sleep(_RETRY_S)

    def _decided(self, request: Object) -> Object | None:
        """The approved request; None where it is nobody's business here."""
        spec, status = request["spec"], request.get("status") or {}
        if spec.get("signerName") != KUBELET_CLIENT or status.get("certificate"):
            return None
        if any(condition(request, type) for type in ("Approved", "Denied", "Failed")):
            return None
        permission = self._permission(spec)
        if not permission:
            return None
        moment = time_of(self._ctx.now)
        approved = {
            "type": "Approved",
            "status": "True",
            "reason": "AutoApproved",
            "message": _MESSAGES[permission],
            "lastUpdateTime": moment,
            "lastTransitionTime": moment,
        }
        return {**request, "status": {**status, "conditions": [*(status.get("conditions") or ()), approved]}}

    def _permission(self, spec: dict[str, Any]) -> str:
        """By which subresource its maker may have it; "" if by none."""
        from actorkube.runtime.certificate_requests import RequestError, read_request

        try:
            asked = Asked(*read_request(base64.b64decode(spec["request"])))
        except (RequestError, binascii.Error):
            return ""
        if problem(KUBELET_CLIENT, asked, spec.get("usages") or ()):
            return ""
        caller = Caller(str(spec.get("username") or ""), tuple(spec.get("groups") or ()))
        own: tuple[str, ...] = ("selfnodeclient",) if asked.common_name == caller.user else ()
        for subresource in (*own, "nodeclient"):
            if self._authorizer.decide(caller, Attributes("create", _GROUP, _PLURAL, subresource)).allowed:
                return subresource
        return ""
