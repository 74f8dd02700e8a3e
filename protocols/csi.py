"""What is asked of a node about volumes that outlive pods, named as in the Container Storage Interface.

Here a volume is a directory of the node, known by the last part of its id. The provisioner asks the API server, which
knows its kubelets; the kubelet asks its runtime, which keeps the directories.
"""

from __future__ import annotations

from protocols.cri import PublishedVolume
from protocols.message import Done, Request

DIRECTORY_DRIVER = "directory.actorkube.dev"


class NodePublishVolume(Request[PublishedVolume]):
    """Make the volume's directory exist; what is in it stays. The answer says where it is."""

    volume_id: str


class DeleteVolume(Request[Done]):
    """Throw the volume away, with what is in it. One that is not there is gone already."""

    volume_id: str


def volume_id(node: str, name: str) -> str:
    """The handle of a volume: node and directory."""
    return f"{node}/{name}"


def node_of_volume(handle: str) -> str:
    return handle.partition("/")[0]


def name_of_volume(handle: str) -> str:
    """Of the directory, and of the PersistentVolume."""
    return handle.rpartition("/")[2]
