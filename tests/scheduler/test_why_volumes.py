"""Why a pod with claims waits: which claim, of which class, and what would let it have its volumes."""

from __future__ import annotations

from typing import Any

import pytest

from actors.scheduler import volume_state
from actors.scheduler.explain.why import Near, Why, explain
from actors.scheduler.explain.why_text import lines
from actors.scheduler.profile import DEFAULT_PROFILE
from actors.scheduler.storage_capacity import CAPACITIES, DRIVERS
from protocols.objects import Object
from tests.scheduler.test_volumes import HOST, ZONE, claim, node, pod, volume

DISKS = "example.com/disks"
ZONED = [{"matchLabelExpressions": [{"key": ZONE, "values": ["a", "b"]}]}]
CLASSES = [
    {"metadata": {"name": name}, "provisioner": provisioner, "volumeBindingMode": mode, "allowedTopologies": allowed}
    for name, provisioner, mode, allowed in [
        ("late", DISKS, "WaitForFirstConsumer", None),
        ("static", "kubernetes.io/no-provisioner", "WaitForFirstConsumer", None),
        ("zoned", DISKS, "WaitForFirstConsumer", ZONED),
        ("now", DISKS, "Immediate", None),
        ("by-hand", "kubernetes.io/no-provisioner", "Immediate", None),
    ]
]


def why(
    claims: list[Object], volumes: list[Object], others: list[Object], *wanted: str, limit: int | None = None
) -> Why:
    asked = pod("web", *wanted)
    snapshot: dict[str, Any] = {
        "nodes": [node("n0", "c")],
        "pods": [*others, asked],
        volume_state.CLAIMS: claims,
        volume_state.VOLUMES: volumes,
        volume_state.CLASSES: CLASSES,
    }
    if limit is not None:
        drivers = [{"name": DISKS, "nodeID": "n0", "allocatable": {"count": limit}}]
        snapshot[volume_state.NODES] = [{"metadata": {"name": "n0"}, "spec": {"drivers": drivers}}]
    return explain(snapshot, asked, {"default-scheduler": DEFAULT_PROFILE})


def texts(near: Near) -> list[str]:
    return [remedy.text for obstacle in near.obstacles for remedy in obstacle.remedies]


def in_zone(*values: str) -> dict[str, Any]:
    term = {"matchExpressions": [{"key": ZONE, "operator": "In", "values": list(values)}]}
    return {"required": {"nodeSelectorTerms": [term]}}


HAD = {"csi": {"driver": DISKS, "volumeHandle": "h"}}
ONCE = {"accessModes": ["ReadWriteOncePod"]}


@pytest.mark.parametrize(
    ("claims", "volumes", "others", "limit", "expected"),
    [
        (
            [claim("data", "1Gi", "static", bound="pv")],
            [volume("pv", "1Gi", "static", on=["n7"], claimRef={"namespace": "default", "name": "data"})],
            [],
            None,
            f"another claim than data: its volume pv can be used on nodes with {HOST}=n7 alone",
        ),
        (
            [claim("data", "1Gi", "static", bound="pv")],
            [volume("pv", "1Gi", "static", nodeAffinity=in_zone("a", "b"))],
            [],
            None,
            f"another claim than data: its volume pv can be used on nodes with {ZONE}=a|b alone, "
            f"or label {ZONE}=a on node n0",
        ),
        (
            [claim("data", "1Gi", "late", bound="gone")],
            [],
            [],
            None,
            "another claim than data: its volume gone is gone",
        ),
        (
            [claim("data", "2Gi", "static")],
            [
                volume("a-small", "1Gi", "static"),
                volume("b-far", "2Gi", "static", on=["n7"]),
                volume("c-many", "3Gi", "static", accessModes=["ReadWriteMany"]),
                volume("d-block", "3Gi", "static", volumeMode="Block"),
            ],
            [],
            None,
            "a free volume of class static with 2Gi or more (ReadWriteOnce) that can be used on n0, for claim data "
            f"(a-small has 1Gi only; b-far is on nodes with {HOST}=n7; c-many is for ReadWriteMany only and 1 more)",
        ),
        (
            [claim("data", "1Gi", "zoned")],
            [],
            [],
            None,
            f"a node with {ZONE}=a|b, where class zoned of claim data may make volumes, or label {ZONE}=a on node n0",
        ),
        (
            [claim("data", "1Gi", "late", selected="n7")],
            [],
            [],
            None,
            "another claim than data: its volume is being made on n7",
        ),
        (
            [claim("data", "1Gi", "late", bound="pv")],
            [volume("pv", "1Gi", "late", zone="a__b", **HAD)],
            [],
            None,
            f"a node with {ZONE}=a|b, where volume pv of claim data is, or that label on n0",
        ),
        (
            [claim("data", "1Gi", "late"), claim("other", "1Gi", "late")],
            [],
            [pod("first", "other", node="n0")],
            1,
            f"1 volume of driver {DISKS} fewer on n0, which attaches 1 at most, or a CSINode that says so many more",
        ),
        (
            [claim("data", "1Gi", "late", **ONCE)],
            [],
            [pod("first", "data", node="n0")],
            None,
            "pod default/first gone, or another claim than data, which is ReadWriteOncePod",
        ),
    ],
)
def test_what_would_let_it_have_its_volumes_on_a_node_is_said_and_was_tried(
    claims: list[Object], volumes: list[Object], others: list[Object], limit: int | None, expected: str
) -> None:
    found = why(claims, volumes, others, "data", limit=limit)

    (near,) = found.nearest
    assert found.verdict == "pending"
    assert texts(near) == [expected]
    assert near.tried
    assert f"  - {expected}" in lines(found)


def test_how_much_room_a_class_has_is_said() -> None:
    asked = pod("web", "data")
    driver = {"metadata": {"name": DISKS}, "spec": {"storageCapacity": True}}
    room = {
        "metadata": {"name": "r", "namespace": "disks"},
        "storageClassName": "late",
        "capacity": "1Gi",
        "nodeTopology": {},
    }
    snapshot = {
        "nodes": [node("n0")],
        "pods": [asked],
        volume_state.CLAIMS: [claim("data", "3Gi", "late")],
        volume_state.CLASSES: CLASSES,
        DRIVERS: [driver],
        CAPACITIES: [room],
    }

    (near,) = explain(snapshot, asked, {"default-scheduler": DEFAULT_PROFILE}).nearest

    assert texts(near) == [
        f"3Gi of storage of class late for claim data on n0 (driver {DISKS} says that 1Gi is the most anywhere)"
    ]
    assert near.tried


@pytest.mark.parametrize(
    ("claims", "volumes", "expected"),
    [
        ([], [], "a claim data in namespace default: there is none"),
        (
            [claim("data", "1Gi", "now")],
            [],
            f"that {DISKS} makes a volume for claim data of class now: see the claim's events",
        ),
        (
            [claim("data", "2Gi", "by-hand")],
            [volume("pv", "1Gi", "by-hand")],
            "a free volume of class by-hand with 2Gi or more (ReadWriteOnce), for claim data: none is made for it "
            "(pv has 1Gi only)",
        ),
        (
            [claim("data", "2Gi", "")],
            [],
            "a free volume without a class with 2Gi or more (ReadWriteOnce), for claim data: none is made for it",
        ),
        (
            [claim("data", "1Gi", "none")],
            [],
            "a class none, which claim data asks for, or a free volume of class none with 1Gi or more "
            "(ReadWriteOnce): there is no such class",
        ),
        (
            [claim("data", "2Gi", "static", volumeName="pv")],
            [volume("pv", "1Gi", "static")],
            "volume pv, which claim data asks for: requested PV is too small",
        ),
        (
            [claim("data", "2Gi", "static", volumeName="pv")],
            [],
            "volume pv, which claim data asks for: there is none of that name",
        ),
    ],
)
def test_what_would_help_whatever_the_node_is_said(claims: list[Object], volumes: list[Object], expected: str) -> None:
    found = why(claims, volumes, [], "data")

    assert [remedy.text for remedy in found.altogether] == [expected]
    assert f"  - {expected}" in lines(found)
