"""Who may do what, while there is no RBAC evaluation yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from actorkube.runtime import Actor
from actors.apiserver.callers import ADMIN, ANONYMOUS, Caller, authorize, authorize_path, of_system
from actors.apiserver.schema.resources import find
from protocols import api as door
from protocols.errors import Forbidden
from protocols.message import Message
from tests.apiserver.world import world


@pytest.mark.parametrize(
    ("system", "user", "trusted"),
    [
        ("scheduler", "system:kube-scheduler", True),
        ("controller-manager", "system:kube-controller-manager", True),
        ("cloud-controller-manager", "system:cloud-controller-manager", True),
        ("node-1-kubelet", "system:node:node-1", True),
        ("node-1-proxy", "system:kube-proxy", True),
        ("my-node-kubelet", "system:node:my-node", True),
        ("stranger", "system:actor:stranger", False),
        (None, "system:admin", True),
    ],
)
def test_a_system_is_a_user(system: str | None, user: str, trusted: bool) -> None:
    caller = of_system(system, {})

    assert (caller.user, caller.trusted) == (user, trusted)


def test_refusals_are_worded_as_kubernetes_words_them() -> None:
    jane, pods, nodes = Caller("jane", ("system:authenticated",)), find("pods"), find("nodes")
    assert pods is not None and nodes is not None

    with pytest.raises(Forbidden) as listed:
        authorize(jane, "list", pods, "default", "")
    with pytest.raises(Forbidden) as got:
        authorize(jane, "get", nodes, "", "n1")
    with pytest.raises(Forbidden) as path:
        authorize_path(ANONYMOUS, "get", "/apis")

    assert str(listed.value) == (
        'pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "default"'
    )
    assert str(got.value) == (
        'nodes "n1" is forbidden: User "jane" cannot get resource "nodes" in API group "" at the cluster scope'
    )
    assert str(path.value) == 'forbidden: User "system:anonymous" cannot get path "/apis"'


def test_health_and_version_are_for_everybody() -> None:
    for path in ("/healthz", "/livez/ping", "/readyz", "/version"):
        authorize_path(ANONYMOUS, "get", path)
    for path in ("/healthzz", "/", "/api", "/openapi/v2"):
        with pytest.raises(Forbidden):
            authorize_path(ANONYMOUS, "get", path)


class Asker(Actor):
    """Asks on behalf of its system."""

    concurrency = 8

    def receive(self, message: Message) -> object:
        assert isinstance(message, door.List)
        return self._ask(message)

    async def _ask(self, message: door.List) -> door.StoredList:
        return await self.ctx.ask(self.ctx.ref("apiserver/api"), message)


async def test_an_actor_speaks_for_its_system(tmp_path: Path) -> None:
    async with world(tmp_path, users={"guest": ADMIN}) as here:
        test = here.systems["test"]
        outcomes = []
        for system in ("scheduler", "guest", "stranger"):
            asker = await here.actor(system, "asker", Asker())
            try:
                outcomes.append(len((await test.ask(asker, door.List("namespaces"))).items))
            except Forbidden as refusal:
                outcomes.append(str(refusal))

    assert outcomes[:2] == [4, 4]
    assert 'User "system:actor:stranger" cannot list resource "namespaces"' in str(outcomes[2])
