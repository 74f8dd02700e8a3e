"""May this caller do that? The question of every request, answered for nodes by what their pods need, and from RBAC.

What a caller may do everywhere and under every name, as components may most of what they do, is remembered until any
role or binding changes: then the answer is one look into a set. Until a server's cluster has its first roles, the
policy that it is about to store holds.
"""

from __future__ import annotations

from collections.abc import Sequence

from actors.apiserver.access.attributes import Attributes, Decision, refusal
from actors.apiserver.access.node import NodeAuthorizer, node_name
from actors.apiserver.access.node_graph import NodeGraph
from actors.apiserver.access.rbac import RESOURCES, Rbac
from actors.apiserver.access.rules import Rule
from actors.apiserver.cache import Cache, Watcher
from actors.apiserver.callers import MASTERS, Caller
from actors.apiserver.selectors import select
from protocols.errors import Expired
from protocols.objects import Object

_REMEMBERED_MAX = 8192
_CHANGES = 256

_Question = tuple[Caller, str, str, str, str]


class Authorizer:
    """`first` is the policy in force before `follow` is called."""

    def __init__(self, cache: Cache, first: Sequence[tuple[str, Object]] = ()) -> None:
        self._cache = cache
        self._rbac = Rbac()
        for group_resource, obj in first:
            self._rbac.put(group_resource, obj)
        self._nodes = NodeAuthorizer(NodeGraph(cache), self._rbac.rules_of("ClusterRole", "system:node") or ())
        self._watchers: dict[str, Watcher] = {}
        self._stale = False
        self._everywhere: set[_Question] = set()

    def follow(self) -> None:
        """From now on what is stored decides, and nothing else."""
        self._read_all()

    @property
    def rbac(self) -> Rbac:
        """As current as the watch cache."""
        if self._stale:
            self._catch_up()
        return self._rbac

    def permit(self, caller: Caller, asked: Attributes) -> None:
        """Raises Forbidden."""
        if self._stale:
            self._catch_up()
        verb, group, resource, subresource, _, _, path, _ = asked
        question = (caller, verb, group, resource or path, subresource)
        if question in self._everywhere:
            return
        node = node_name(caller)
        if node is not None and self._nodes.decide(node, asked).allowed:
            return
        if MASTERS in caller.groups or self._rbac.allowed_anywhere(caller, asked):
            self._remember(question)
            return
        decision = self.decide(caller, asked)
        if not decision.allowed:
            raise refusal(caller, asked, decision.reason)

    def decide(self, caller: Caller, asked: Attributes) -> Decision:
        """With the reason that access reviews show: one authoriser's yes is enough, else each says why not."""
        if MASTERS in caller.groups:
            return Decision(True)
        node = node_name(caller)
        as_node = self._nodes.decide(node, asked) if node is not None else Decision(False)
        if as_node.allowed:
            return as_node
        by_role = self.rbac.decide(caller, asked)
        if by_role.allowed or not as_node.reason:
            return by_role
        return Decision(False, "\n".join(filter(None, (as_node.reason, by_role.reason))))

    def rules_for(self, caller: Caller, namespace: str) -> tuple[list[Rule], str]:
        rules, error = self.rbac.rules_for(caller, namespace)
        if node_name(caller) is not None:
            error = ", ".join(filter(None, ("node authorizer does not support user rule resolution", error)))
        return rules, error

    def _remember(self, question: _Question) -> None:
        if len(self._everywhere) >= _REMEMBERED_MAX:
            self._everywhere.clear()
        self._everywhere.add(question)

    def _catch_up(self) -> None:
        self._stale = False
        self._everywhere.clear()
        try:
            for group_resource, watcher in self._watchers.items():
                self._take(group_resource, watcher)
        except Expired:
            self._read_all()

    def _take(self, group_resource: str, watcher: Watcher) -> None:
        while changes := watcher.take(_CHANGES):
            for change in changes:
                if change.type == "DELETED":
                    self._rbac.remove(group_resource, change.item.key)
                else:
                    self._rbac.put(group_resource, change.item.object())

    def _read_all(self) -> None:
        """At the start, and when the watch cache itself was read anew."""
        for watcher in self._watchers.values():
            watcher.close()
        self._rbac = Rbac()
        self._stale = False
        self._everywhere.clear()
        for group_resource in RESOURCES:
            stored = self._cache.of(group_resource)
            for item in stored.items.values():
                self._rbac.put(group_resource, item.object())
            watcher = stored.watch(select(group_resource), self._cache.revision, self._changed)
            self._watchers[group_resource] = watcher
            self._take(group_resource, watcher)  # nothing yet: from here on it calls

    def _changed(self) -> None:
        self._stale = True
