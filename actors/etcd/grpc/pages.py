"""What etcd says over plain HTTP of a member: whether it is well, which version it is, and its numbers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from actorkube.runtime import Context
from actorkube.runtime.observer import memory_bytes
from actors.etcd.grpc.header import Header
from actors.etcd.grpc.maintenance import VERSION
from actors.etcd.grpc.replica import Replica
from actors.etcd.grpc.status import Refused
from protocols.errors import AskError
from protocols.etcd import Range
from protocols.etcd_maintenance import Alarms, ListAlarms

HEALTH_S = 5.0
TEXT, JSON, METRICS = "text/plain; charset=utf-8", "application/json", "text/plain; version=0.0.4; charset=utf-8"
Said = tuple[int, str, bytes]
Page = Callable[[Mapping[str, str]], Coroutine[Any, Any, Said]]


class Pages:
    """`closed` counts connections by why they were closed."""

    def __init__(self, ctx: Context, replica: Replica, header: Header, closed: Counter[str]) -> None:
        self._ctx = ctx
        self._replica = replica
        self._header = header
        self._closed = closed

    def all(self) -> Mapping[str, Page]:
        return {
            "/health": self.health,
            "/livez": self.livez,
            "/readyz": self.readyz,
            "/version": self.version,
            "/metrics": self.metrics,
        }

    async def health(self, query: Mapping[str, str]) -> Said:
        reason = await self._fault(query.get("exclude", ""), query.get("serializable") == "true")
        said = {"health": "false" if reason else "true", "reason": reason}
        return 503 if reason else 200, JSON, json.dumps(said, separators=(",", ":")).encode()

    async def _fault(self, excluded: str, serializable: bool) -> str:
        """What is wrong, in etcd's words; "" if nothing is."""
        if serializable:
            return "" if await self._reads_here() else "SERIALIZABLE READ"
        alarms = await self._alarms()
        if alarms is None:
            return "RAFT NO LEADER"
        return next((f"ALARM {alarm.kind}" for alarm in alarms.alarms if alarm.kind != excluded), "")

    async def livez(self, query: Mapping[str, str]) -> Said:
        return _checked({"serializable_read": await self._reads_here()}, query)

    async def readyz(self, query: Mapping[str, str]) -> Said:
        alarms = await self._alarms()
        is_sound = alarms is None or all(alarm.kind != "CORRUPT" for alarm in alarms.alarms)
        reads = {"serializable_read": await self._reads_here(), "linearizable_read": alarms is not None}
        return _checked({"data_corruption": is_sound, **reads}, query)

    async def _reads_here(self) -> bool:
        try:
            await self._ctx.ask(self._replica.local, Range(b"health", serializable=True), HEALTH_S)
        except AskError:
            return False
        return True

    async def _alarms(self) -> Alarms | None:
        """As a majority confirms them; None: nobody leads."""
        try:
            return await self._replica.asked(ListAlarms(), HEALTH_S)
        except Refused:
            return None

    async def version(self, _: Mapping[str, str]) -> Said:
        said = {"etcdserver": VERSION, "etcdcluster": VERSION}
        return 200, JSON, json.dumps(said, separators=(",", ":")).encode()

    async def metrics(self, _: Mapping[str, str]) -> Said:
        try:
            status = await self._replica.status()
        except AskError:
            return 503, TEXT, b"the member does not answer\n"
        leads = status.leader.partition("/")[0] == status.member
        named = {
            f'etcd_server_version{{server_version="{VERSION}"}}': 1,
            f'etcd_cluster_version{{cluster_version="{VERSION.rpartition(".")[0]}"}}': 1,
            f'etcd_server_id{{server_id="{self._header.member_id:x}"}}': 1,
            "etcd_server_has_leader": int(bool(status.leader)),
            "etcd_server_is_leader": int(leads),
            "etcd_server_is_learner": int(status.learner),
            "etcd_server_proposals_committed_total": status.commit_index,
            "etcd_server_proposals_applied_total": status.applied_index,
            "etcd_mvcc_db_total_size_in_bytes": status.db_bytes,
            "etcd_mvcc_db_total_size_in_use_in_bytes": status.in_use_bytes,
            "etcd_debugging_mvcc_current_revision": status.revision,
            "etcd_debugging_mvcc_compact_revision": status.compact_revision,
            "process_resident_memory_bytes": memory_bytes(),
        }
        lines = []
        for name, value in named.items():
            lines += [f"# TYPE {name.partition('{')[0]} gauge", f"{name} {value}"]
        lines.append("# TYPE actorkube_etcd_connections_closed_total counter")
        for why, count in sorted(self._closed.items()):
            lines.append(f"actorkube_etcd_connections_closed_total{{reason={json.dumps(why)}}} {count}")
        return 200, METRICS, "\n".join([*lines, ""]).encode()


def _checked(checks: Mapping[str, bool], query: Mapping[str, str]) -> Said:
    """As Kubernetes' components say it, and etcd since 3.5.11."""
    is_well = all(checks.values())
    lines = [f"[{'+' if well else '-'}]{name} {'ok' if well else 'failed'}" for name, well in checks.items()]
    if is_well:
        return 200, TEXT, "\n".join([*(lines if "verbose" in query else ()), "ok", ""]).encode()
    return 503, TEXT, "\n".join([*lines, ""]).encode()
