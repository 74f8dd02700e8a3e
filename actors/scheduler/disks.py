"""Disks that a pod names in its own spec (GCE, AWS, iSCSI, Ceph RBD): two pods of one node may not have the same one.

All but those of AWS may be shared by pods that only read. Two RBD images are the same when one monitor is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from protocols.objects import Object

KINDS = {"gcePersistentDisk", "awsElasticBlockStore", "iscsi", "rbd"}


class Disk(NamedTuple):
    """Two are the same when any of their names is. `shared`: with others that are shared."""

    names: tuple[tuple[str, ...], ...]
    shared: bool

    def conflicts(self, other: Disk) -> bool:
        return not (self.shared and other.shared) and not set(self.names).isdisjoint(other.names)


def disks_of(pod: Object) -> tuple[Disk, ...]:
    return tuple(_disks((pod.get("spec") or {}).get("volumes") or ()))


def _disks(volumes: Sequence[Mapping[str, Any]]) -> Iterator[Disk]:
    for volume in volumes:
        if (gce := volume.get("gcePersistentDisk")) is not None:
            yield Disk((("gce", gce.get("pdName") or ""),), bool(gce.get("readOnly")))
        if (aws := volume.get("awsElasticBlockStore")) is not None:
            yield Disk((("aws", aws.get("volumeID") or ""),), shared=False)
        if (iscsi := volume.get("iscsi")) is not None:
            yield Disk((("iscsi", iscsi.get("iqn") or ""),), bool(iscsi.get("readOnly")))
        if (rbd := volume.get("rbd")) is not None:
            image = (rbd.get("pool") or "rbd", rbd.get("image") or "")
            monitors = rbd.get("monitors") or ()
            yield Disk(tuple(("rbd", monitor, *image) for monitor in monitors), bool(rbd.get("readOnly")))


class DiskUse:
    """Which nodes have pods with which disks: how many, and how many of them share it with nobody."""

    def __init__(self) -> None:
        self._on: dict[tuple[str, ...], dict[str, tuple[int, int]]] = {}

    def change(self, node: str, disks: Sequence[Disk], by: int) -> None:
        """`by` 1 for a pod that comes there, -1 for one that goes."""
        for disk in disks:
            for name in disk.names:
                nodes = self._on.setdefault(name, {})
                users, alone = nodes.get(node, (0, 0))
                nodes[node] = (users + by, alone + by * (not disk.shared))
                if not nodes[node][0]:
                    del nodes[node]
                if not nodes:
                    del self._on[name]

    def nodes_against(self, disks: Sequence[Disk]) -> set[str]:
        """Where a pod with these disks may not go."""
        return {
            node
            for disk in disks
            for name in disk.names
            for node, (_, alone) in self._on.get(name, {}).items()
            if alone or not disk.shared
        }
