"""What the deployment controller needs to know of a replica set without decoding it."""

from __future__ import annotations

from typing import NamedTuple

from protocols.objects import Object, labels_of, uid_of
from protocols.rules.owners import controller_of, is_deleting

SET = "set"  # the summary's name in the view of replica sets


class SetSummary(NamedTuple):
    uid: str
    labels: dict[str, str]
    deleting: bool
    controller_name: str

    @property
    def claimable(self) -> bool:
        return not self.deleting


def summarise_set(replica_set: Object) -> SetSummary:
    controller = controller_of(replica_set)
    name = controller["name"] if controller and controller["kind"] == "Deployment" else ""
    return SetSummary(uid_of(replica_set), labels_of(replica_set), is_deleting(replica_set), name)
