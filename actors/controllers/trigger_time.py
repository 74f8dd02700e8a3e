"""`endpoints.kubernetes.io/last-change-trigger-time`: when what a write publishes had happened. Whoever has programmed
it tells by this how long that took (kube-proxy: network_programming_duration_seconds).

Kubernetes' controllers remember what they have seen; here that is looked up in what is published already.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from actorkube.kube import View
from actors.controllers.pod_summary import PodSummary
from protocols.objects import Object, meta
from protocols.rules.pods import ready_condition
from protocols.rules.times import seconds_of, time_of

ANNOTATION = "endpoints.kubernetes.io/last-change-trigger-time"


def trigger_time(
    service: Object, pods: Iterable[tuple[PodSummary, bool]], published: Mapping[str, bool] | None, view: View
) -> str:
    """The earliest change that is not published yet, "" where none has a time (a pod that is gone has none).

    `pods`: those of the service, and whether they are ready in what is written; `published`: the same by uid, of what
    is there, None where nothing is.
    """
    known = published or {}
    times = [_changed(pod, view) for pod, ready in pods if known.get(pod.uid) != ready]
    if published is None:
        times.append(meta(service).get("creationTimestamp") or "")
    seconds = [seconds_of(time) for time in times if time]
    return time_of(min(seconds)) if seconds else ""


def with_trigger_time(obj: Object, time: str) -> Object:
    """Without any, where there is none: an older one would be of another change."""
    metadata = {**meta(obj)}
    annotations = {key: value for key, value in (metadata.pop("annotations", None) or {}).items() if key != ANNOTATION}
    if time:
        annotations[ANNOTATION] = time
    return {**obj, "metadata": {**metadata, **({"annotations": annotations} if annotations else {})}}


def _changed(pod: PodSummary, view: View) -> str:
    """When it became ready, or ceased to be."""
    if pod.ready_since is not None:
        return time_of(pod.ready_since)
    return str((ready_condition(view.get(pod.key) or {}) or {}).get("lastTransitionTime") or "")
