"""How controllers create and delete their pods: the owner's events say what became of it."""

from __future__ import annotations

from typing import Any

from actorkube.kube.writes import Create, Delete, Event
from actors.controllers.pod_summary import PodSummary
from protocols.objects import Object, name_of

About = dict[str, Any]  # the owner, as events refer to it


def creation(about: About, pod: Object) -> Create:
    return Create(
        "pods",
        pod,
        Event(about, "Normal", "SuccessfulCreate", f"Created pod: {name_of(pod)}"),
        Event(about, "Warning", "FailedCreate", "Error creating: "),
    )


def deletion(about: About, pod: PodSummary) -> Delete:
    return Delete(
        "pods",
        pod.namespace,
        pod.name,
        pod.uid,
        announce=Event(about, "Normal", "SuccessfulDelete", f"Deleted pod: {pod.name}"),
        lament=Event(about, "Warning", "FailedDelete", "Error deleting: "),
    )
