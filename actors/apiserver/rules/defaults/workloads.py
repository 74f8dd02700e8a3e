"""Workloads of apps/v1 and their ancestor, the replication controller."""

from __future__ import annotations

from actors.apiserver.rules.defaults.fill import fill, section
from actors.apiserver.rules.defaults.pods import pod_template
from actors.apiserver.rules.defaults.storage import claim_spec
from protocols.objects import Object


def deployment(obj: Object) -> None:
    spec = section(obj, "spec")
    fill(spec, replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600)
    strategy = section(spec, "strategy")
    fill(strategy, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        fill(section(strategy, "rollingUpdate"), maxUnavailable="25%", maxSurge="25%")
    pod_template(section(spec, "template"))


def replica_set(obj: Object) -> None:
    spec = section(obj, "spec")
    fill(spec, replicas=1)
    pod_template(section(spec, "template"))


def stateful_set(obj: Object) -> None:
    spec = section(obj, "spec")
    fill(spec, replicas=1, revisionHistoryLimit=10, podManagementPolicy="OrderedReady")
    fill(section(spec, "persistentVolumeClaimRetentionPolicy"), whenDeleted="Retain", whenScaled="Retain")
    strategy = section(spec, "updateStrategy")
    if not strategy.get("type"):
        fill(strategy, type="RollingUpdate")
        section(strategy, "rollingUpdate")
    if strategy["type"] == "RollingUpdate" and strategy.get("rollingUpdate") is not None:
        fill(strategy["rollingUpdate"], partition=0)
    pod_template(section(spec, "template"))
    for claim in spec.get("volumeClaimTemplates") or ():
        claim.update(apiVersion="v1", kind="PersistentVolumeClaim")
        fill(claim, status={"phase": "Pending"})
        claim_spec(section(claim, "spec"))


def daemon_set(obj: Object) -> None:
    spec = section(obj, "spec")
    fill(spec, revisionHistoryLimit=10)
    strategy = section(spec, "updateStrategy")
    fill(strategy, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        fill(section(strategy, "rollingUpdate"), maxUnavailable=1, maxSurge=0)
    pod_template(section(spec, "template"))


def replication_controller(obj: Object) -> None:
    spec = section(obj, "spec")
    fill(spec, replicas=1)
    template = spec.get("template")
    if template is None:
        return
    pod_template(template)
    labels = template["metadata"].get("labels")
    if labels:
        if not spec.get("selector"):
            spec["selector"] = dict(labels)
        fill(section(obj, "metadata"), labels=dict(labels))


def pod_template_object(obj: Object) -> None:
    pod_template(section(obj, "template"))
