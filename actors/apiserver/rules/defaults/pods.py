"""Pods and pod templates. What is said of a pod alone, and not of templates, is in `pod`."""

from __future__ import annotations

from typing import Any

from actors.apiserver.rules.defaults.fill import fill, section
from protocols.objects import Object
from protocols.rules.quantity import NANOS, InvalidQuantity, format_quantity
from protocols.rules.resources import pod_requests

Spec = dict[str, Any]

_CONTAINERS = ("containers", "initContainers", "ephemeralContainers")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_PROBE_NUMBERS = (("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3))
_FILE_MODE = 0o644


def pod(obj: Object) -> None:
    spec = section(obj, "spec")
    pod_spec(spec)
    fill(spec, enableServiceLinks=True)
    spec["terminationGracePeriodSeconds"] = _grace(spec["terminationGracePeriodSeconds"])
    for container in [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]:
        _requests_from_limits(container)
        if spec.get("hostNetwork"):
            for port in container.get("ports") or ():
                fill(port, hostPort=port.get("containerPort"))
    _requests_of_the_pod(spec)


def _requests_of_the_pod(spec: Spec) -> None:
    """A pod with limits of its own asks for what its containers ask for, and else for its limits."""
    resources = spec.get("resources") or {}
    if not resources.get("limits"):
        return
    try:
        together = pod_requests({"spec": {**spec, "resources": {}, "overhead": {}}})
    except InvalidQuantity:
        return  # validation says where
    asked = {name: _spelt(name, together[name]) for name in ("cpu", "memory") if together.get(name)}
    resources["requests"] = {**resources["limits"], **asked, **(resources.get("requests") or {})}


def _spelt(resource: str, amount: int) -> str:
    if resource == "cpu":
        return format_quantity(amount * NANOS // 1000)
    return format_quantity(amount * NANOS, "BinarySI")


def _grace(seconds: int) -> int:
    """What is over before it begins ends at once."""
    return 1 if seconds < 0 else seconds


def pod_template(template: Spec) -> None:
    meta = template.get("metadata")
    if meta is None:
        template["metadata"] = {}
    pod_spec(section(template, "spec"))


def pod_spec(spec: Spec) -> None:
    for key in _CONTAINERS:
        for container in spec.get(key) or ():
            _container(container)
    fill(
        spec,
        restartPolicy="Always",
        terminationGracePeriodSeconds=30,
        dnsPolicy="ClusterFirst",
        securityContext={},
        schedulerName="default-scheduler",
    )
    _service_account_alias(spec)
    for volume in spec.get("volumes") or ():
        _volume(volume)


def _container(container: Spec) -> None:
    fill(
        container,
        resources={},
        terminationMessagePath="/dev/termination-log",
        terminationMessagePolicy="File",
        imagePullPolicy=_pull_policy(container.get("image") or ""),
    )
    for port in container.get("ports") or ():
        fill(port, protocol="TCP")
    for variable in container.get("env") or ():
        _value_from(variable.get("valueFrom") or {})
    for key in _PROBES:
        if container.get(key) is not None:
            _probe(container[key])
    for moment in ("postStart", "preStop"):
        _handler((container.get("lifecycle") or {}).get(moment) or {})


def _pull_policy(image: str) -> str:
    """A moving tag is pulled every time. A container without an image runs its command and pulls nothing."""
    name = image.rpartition("/")[2]
    untagged = ":" not in name and "@" not in name
    return "Always" if image and (untagged or name.endswith(":latest")) else "IfNotPresent"


def _requests_from_limits(container: Spec) -> None:
    resources = container.get("resources") or {}
    if resources.get("limits"):
        resources["requests"] = {**resources["limits"], **(resources.get("requests") or {})}


def _value_from(source: Spec) -> None:
    if source.get("fieldRef") is not None:
        fill(source["fieldRef"], apiVersion="v1")
    if source.get("resourceFieldRef") is not None:
        fill(source["resourceFieldRef"], divisor="0")


def _probe(probe: Spec) -> None:
    _handler(probe)
    for key, default in (
        ("timeoutSeconds", 1),
        ("periodSeconds", 10),
        ("successThreshold", 1),
        ("failureThreshold", 3),
    ):
        if not probe.get(key):  # 0 means the default here
            probe[key] = default


def _handler(handler: Spec) -> None:
    if handler.get("httpGet") is not None:
        http_get = handler["httpGet"]
        if not http_get.get("path"):
            http_get["path"] = "/"
        fill(http_get, scheme="HTTP")
    if handler.get("grpc") is not None:
        fill(handler["grpc"], service="")


def _service_account_alias(spec: Spec) -> None:
    """The deprecated `serviceAccount` mirrors `serviceAccountName`."""
    name = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if name:
        spec["serviceAccountName"] = spec["serviceAccount"] = name


def _volume(volume: Spec) -> None:
    sources = [key for key, value in volume.items() if key != "name" and value is not None]
    if not sources:
        volume["emptyDir"] = {}
    for kind in ("secret", "configMap", "downwardAPI", "projected"):
        if volume.get(kind) is not None:
            fill(volume[kind], defaultMode=_FILE_MODE)
    if volume.get("image") is not None:
        fill(volume["image"], pullPolicy=_pull_policy(volume["image"].get("reference") or ""))
    if volume.get("hostPath") is not None:
        fill(volume["hostPath"], type="")
    _downward_items(volume.get("downwardAPI") or {})
    for part in (volume.get("projected") or {}).get("sources") or ():
        _downward_items(part.get("downwardAPI") or {})
        if part.get("serviceAccountToken") is not None:
            fill(part["serviceAccountToken"], expirationSeconds=3600)
    template = (volume.get("ephemeral") or {}).get("volumeClaimTemplate")
    if template is not None:
        fill(section(template, "spec"), volumeMode="Filesystem", resources={})


def _downward_items(source: Spec) -> None:
    for item in source.get("items") or ():
        _value_from(item)
