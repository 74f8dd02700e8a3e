"""`kubectl get componentstatuses`: whether scheduler, controller manager and the replicas of the store are well.

They are asked when somebody wants to know, all at once, and whoever does not answer in time is not well. Nothing of it
is stored. Kubernetes serves it to those who have always asked, and tells them that it is deprecated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from actorkube.runtime import Context
from actorkube.runtime.built_in import OBSERVER
from actorkube.runtime.tracing import NOT_FOLLOWED, because
from protocols.errors import Answer, AskError
from protocols.etcd import Status, StatusResponse
from protocols.message import Request
from protocols.objects import Object
from protocols.observe import Inspect

PLURAL = "componentstatuses"
ANSWER_WITHIN_S = 2.0
_MANAGERS = ("scheduler", "controller-manager")


class ComponentStatuses:
    """`etcd`: the addresses of the replicas."""

    def __init__(self, ctx: Context, etcd: Sequence[str]) -> None:
        self._ctx = ctx
        self._asked: dict[str, tuple[str, Request[object]]] = {
            **{name: (f"{name}/{OBSERVER}", Inspect()) for name in _MANAGERS},
            **{f"etcd-{number}": (address, Status()) for number, address in enumerate(etcd)},
        }

    async def find(self, name: str = "") -> list[Object]:
        """All of them, or the one of that name, if there is one."""
        names = [each for each in self._asked if name in ("", each)]
        with because(NOT_FOLLOWED):  # who looks on does not want to see himself
            problems = await asyncio.gather(*map(self._problem, names))
        return [_status(each, problem) for each, problem in zip(names, problems, strict=True)]

    async def _problem(self, name: str) -> str:
        address, question = self._asked[name]
        try:
            answer = await self._ctx.ask(self._ctx.ref(address), question, timeout_s=ANSWER_WITHIN_S)
        except (AskError, Answer) as error:
            return f"{name} does not answer: {error}"
        if isinstance(answer, StatusResponse):
            return "; ".join(answer.errors) if answer.errors or answer.leader else "etcdserver: no leader"
        return ""


def _status(name: str, problem: str) -> Object:
    condition = {"type": "Healthy", "status": "False" if problem else "True"}
    said = {"error": problem} if problem else {"message": "ok"}
    kind = {"apiVersion": "v1", "kind": "ComponentStatus"}
    return {**kind, "metadata": {"name": name}, "conditions": [{**condition, **said}]}
