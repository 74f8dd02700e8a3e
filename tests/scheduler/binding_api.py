"""An API server in memory that binds pods as Kubernetes does, and remembers every binding it ever made.

`doubt(request)`: it is done, but the asker hears only that nobody knows. `swallow(request)`: the same, not done.
`lag_s`: how long watches lag behind answers.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from typing import Any

import msgspec

from actorkube.runtime import LATER
from actors.apiserver.bindings import as_object
from protocols.api import Bind, Binding, BindOutcomes, Create, Patch
from protocols.errors import Answer, Conflict, Unknown, encode_error
from protocols.message import Message
from protocols.objects import Object, decode_object, encode_object, meta, name_of, namespace_of
from tests.kube.memory_api import MemoryApi
from tests.kube.memory_store import MemoryStore


class BindingApi(MemoryApi):
    def __init__(self, store: MemoryStore, bound: list[tuple[str, str]] | None = None, *, lag_s: float = 0.0) -> None:
        super().__init__(store)
        self.lag_s = lag_s
        self.bound = bound if bound is not None else []  # (uid of a pod, node)
        self.together: list[Bind] = []  # what came as one message; `asked` has its bindings as if each had come alone
        self.doubt: Callable[[Message], bool] = lambda request: False
        self.swallow: Callable[[Message], bool] = lambda request: False

    def receive(self, message: Message) -> object:
        if isinstance(message, Bind):
            return self._bind_all(message)
        if self.swallow(message):
            self.asked.append(message)
        elif self.doubt(message):
            super().receive(message)
        else:
            return super().receive(message)
        self.ctx.reply_handle().fail(Unknown("the connection ended"))
        return LATER

    def _bind_all(self, message: Bind) -> object:
        self.together.append(message)
        outcomes = BindOutcomes(tuple(self._outcome(binding) for binding in message.bindings))
        if self.lose(message):
            self.ctx.reply_handle()
            return LATER
        return outcomes

    def _outcome(self, binding: Binding) -> bytes:
        """As if it had come alone."""
        obj = as_object(binding)
        message = Create("pods", encode_object(obj), binding.namespace, binding.name, "binding")
        if self.swallow(message):
            self.asked.append(message)
            return encode_error(Unknown("the connection ended"))
        try:
            super().receive(message)
        except Answer as refusal:
            return encode_error(refusal)
        return encode_error(Unknown("the connection ended")) if self.doubt(message) else b""

    def deliver(self) -> None:
        if self.lag_s:
            asyncio.get_running_loop().call_later(self.lag_s, super().deliver)
        else:
            super().deliver()

    def _answer(self, message: Message) -> Message:
        match message:
            case Create("pods", body, subresource="binding"):
                return self._bind(decode_object(body))
            case Patch("pods" | "podgroups.scheduling.k8s.io" as of, name, "strategic", body, namespace, "status"):
                return self._patch_status(of, namespace, name, msgspec.msgpack.decode(body))
        return super()._answer(message)

    def _bind(self, binding: Object) -> Message:
        pod = self.store.read("pods", namespace_of(binding), name_of(binding))
        uid, node = meta(binding).get("uid"), binding["target"]["name"]
        if uid and uid != meta(pod)["uid"]:
            raise Conflict("the UID in the precondition does not match the UID in record")
        if pod["spec"].get("nodeName"):
            raise Conflict(f"pod {name_of(pod)} is already assigned to node {pod['spec']['nodeName']!r}")
        pod["spec"]["nodeName"] = node
        self.bound.append((meta(pod)["uid"], node))
        return self.store.update("pods", pod)

    def _patch_status(self, resource: str, namespace: str, name: str, patch: Any) -> Message:
        """Strategic merge of what the scheduler patches: conditions, by type, and the node that a pod waits for."""
        pod = self.store.read(resource, namespace, name)
        if patch["metadata"]["uid"] != meta(pod)["uid"]:
            raise Conflict("another pod")
        conditions = {c["type"]: c for c in (pod.get("status") or {}).get("conditions") or []}
        for condition in patch["status"].get("conditions", ()):
            conditions[condition["type"]] = {**conditions.get(condition["type"], {}), **condition}
        pod = copy.deepcopy(pod)
        status = pod.setdefault("status", {})
        status["conditions"] = list(conditions.values())
        if "nominatedNodeName" in patch["status"]:
            status["nominatedNodeName"] = patch["status"]["nominatedNodeName"] or ""
        return self.store.update(resource, pod, 0, "status")


def once(request: Callable[[Message], bool]) -> Callable[[Message], bool]:
    """True for the first such request only."""
    left = [True]

    def first(message: Message) -> bool:
        if left[0] and request(message):
            left[0] = False
            return True
        return False

    return first


def is_binding(message: Message) -> bool:
    return isinstance(message, Create) and message.subresource == "binding"
