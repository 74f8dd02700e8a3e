"""A Job selects its own pods: by its uid, which only the server knows."""

from __future__ import annotations

from protocols.objects import Object

_PREFIX = "batch.kubernetes.io/"


def generate_selector(job: Object) -> None:
    """Labels the template and sets the selector, unless `manualSelector` says that the user did."""
    if (job.get("spec") or {}).get("manualSelector"):
        return
    spec = job["spec"] = {**(job.get("spec") or {})}
    template = spec["template"] = {**(spec.get("template") or {})}
    meta = template["metadata"] = {**(template.get("metadata") or {})}
    uid, name = job["metadata"]["uid"], job["metadata"].get("name") or ""
    generated = {f"{_PREFIX}controller-uid": uid, f"{_PREFIX}job-name": name, "controller-uid": uid, "job-name": name}
    meta["labels"] = {**(meta.get("labels") or {}), **generated}
    selector = {**(spec.get("selector") or {})}
    own = {f"{_PREFIX}controller-uid": uid}
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), **own}
    spec["selector"] = selector


def label_like_its_pods(job: Object) -> None:
    """A job that has no labels of its own is found by those of its pods."""
    labels = (((job.get("spec") or {}).get("template") or {}).get("metadata") or {}).get("labels")
    if labels and not job["metadata"].get("labels"):
        job["metadata"] = {**job["metadata"], "labels": {**labels}}
