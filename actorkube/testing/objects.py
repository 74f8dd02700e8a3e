"""Hypothesis strategies for API objects that an API server accepts: small, various, and all of them valid.

    @given(deployments())
    def test_my_controller_copes_with(deployment): ...

    @given(objects())                        # of any of these kinds
    @given(pods(labels=st.just({"app": "web"})))

Names and labels come from small sets, so that objects meet: selectors match, names collide. Imports hypothesis.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import strategies as st

from protocols.objects import Object

S = st.SearchStrategy

CPUS = ("50m", "250m", "1", "1500m")
MEMORIES = ("16Mi", "128Mi", "1Gi", "500M")
PORT_NAMES = ("http", "metrics", "admin")


def names(longest: int = 20) -> S[str]:
    """What metadata.name may be for every kind: a DNS label that begins with a letter."""
    return st.from_regex(rf"\A[a-z]([a-z0-9-]{{0,{longest - 2}}}[a-z0-9])?\Z")


def label_sets(least: int = 0) -> S[dict[str, str]]:
    keys = st.sampled_from(["app", "tier", "version", "example.com/team"])
    values = st.sampled_from(["web", "db", "v1", "v2", "a.b_c-d"])
    return st.dictionaries(keys, values, min_size=least, max_size=3)


def annotation_sets() -> S[dict[str, str]]:
    return st.dictionaries(names().map("example.com/{}".format), st.text(max_size=30), max_size=2)


@st.composite
def metadata(draw: st.DrawFn, labels: S[dict[str, str]] | None = None) -> Object:
    found: Object = {"name": draw(names()), "labels": draw(labels or label_sets())}
    found |= {"annotations": notes} if (notes := draw(annotation_sets())) else {}
    return {key: value for key, value in found.items() if value}


# -- what holds data --------------------------------------------------------------------------------------------------


def config_maps() -> S[Object]:
    data = st.dictionaries(_keys(), st.text(max_size=50), max_size=3)
    return _objects("v1", "ConfigMap", data=data)


def secrets() -> S[Object]:
    data = st.dictionaries(_keys(), st.text(max_size=50), max_size=3)
    return _objects("v1", "Secret", stringData=data, type=st.just("Opaque"))


def service_accounts() -> S[Object]:
    return _objects("v1", "ServiceAccount")


def namespaces() -> S[Object]:
    return _objects("v1", "Namespace")


def _keys() -> S[str]:
    return st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,12}\Z").filter(lambda key: ".." not in key)


# -- pods and what makes them -----------------------------------------------------------------------------------------


@st.composite
def containers(draw: st.DrawFn, name: str = "main") -> Object:
    container: Object = {"name": name, "image": draw(st.sampled_from(["nginx", "example.com/app:v1", "busybox:1.36"]))}
    numbers: list[int] = draw(st.lists(st.integers(1, 65535), max_size=2, unique=True))
    if numbers:
        ports = zip(PORT_NAMES, numbers, strict=False)
        container["ports"] = [{"name": name, "containerPort": number} for name, number in ports]
    if draw(st.booleans()):
        container["command"] = draw(st.lists(st.sampled_from(["serve", "-v", "--port=80"]), min_size=1, max_size=3))
    if variables := draw(st.dictionaries(st.sampled_from(["COLOUR", "LEVEL"]), st.text("abc ", max_size=8))):
        container["env"] = [{"name": key, "value": value} for key, value in variables.items()]
    if resources := draw(_resources()):
        container["resources"] = resources
    if draw(st.booleans()) and numbers:
        container["readinessProbe"] = {"httpGet": {"path": "/", "port": numbers[0]}, "periodSeconds": 5}
    return container


def _resources() -> S[Object]:
    """Requests are never above limits."""
    some = st.fixed_dictionaries(
        {}, optional={"cpu": st.sampled_from(CPUS[:2]), "memory": st.sampled_from(MEMORIES[:2])}
    )
    most = st.fixed_dictionaries(
        {}, optional={"cpu": st.sampled_from(CPUS[2:]), "memory": st.sampled_from(MEMORIES[2:])}
    )
    both = st.builds(lambda requests, limits: {"requests": requests, "limits": limits}, some, most)
    return both.map(lambda parts: {part: values for part, values in parts.items() if values})


@st.composite
def pod_specs(draw: st.DrawFn, restart_policies: tuple[str, ...] = ("Always",)) -> Object:
    count = draw(st.integers(1, 2))
    spec: Object = {"containers": [draw(containers(name)) for name in ("main", "side")[:count]]}
    spec["restartPolicy"] = draw(st.sampled_from(restart_policies))
    if draw(st.booleans()):
        spec["terminationGracePeriodSeconds"] = draw(st.integers(0, 60))
    if draw(st.integers(0, 3)) == 0:
        spec["nodeSelector"] = {"kubernetes.io/os": "linux"}
    if draw(st.integers(0, 3)) == 0:
        toleration = {"key": "example.com/special", "operator": "Exists"}
        spec["tolerations"] = [toleration | draw(st.sampled_from([{}, {"effect": "NoSchedule"}]))]
    if draw(st.integers(0, 3)) == 0:
        spec["volumes"] = [{"name": "scratch", "emptyDir": {}}]
        spec["containers"][0]["volumeMounts"] = [{"name": "scratch", "mountPath": "/scratch"}]
    return spec


def pods(labels: S[dict[str, str]] | None = None) -> S[Object]:
    return _objects("v1", "Pod", labels=labels, spec=pod_specs(("Always", "OnFailure", "Never")))


@st.composite
def templates(draw: st.DrawFn, labels: dict[str, str], restart_policies: tuple[str, ...] = ("Always",)) -> Object:
    """Pod templates that carry the labels, and perhaps others."""
    others = draw(label_sets())
    return {"metadata": {"labels": others | labels}, "spec": draw(pod_specs(restart_policies))}


@st.composite
def deployments(draw: st.DrawFn) -> Object:
    strategies: list[Object] = [
        {},
        {"strategy": {"type": "Recreate"}},
        {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}},
        {"strategy": {"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "50%"}}},
        {"minReadySeconds": 5, "revisionHistoryLimit": 2},
    ]
    return draw(_workloads("Deployment", draw(st.sampled_from(strategies))))


def replica_sets() -> S[Object]:
    return _workloads("ReplicaSet", {})


def stateful_sets() -> S[Object]:
    return _workloads("StatefulSet", {"serviceName": "web"})


@st.composite
def daemon_sets(draw: st.DrawFn) -> Object:
    workload = draw(_workloads("DaemonSet", {}))
    workload["spec"].pop("replicas", None)
    return workload


@st.composite
def _workloads(draw: st.DrawFn, kind: str, more: Mapping[str, Any]) -> Object:
    labels = draw(label_sets(least=1))
    spec: Object = {"selector": {"matchLabels": labels}, "template": draw(templates(labels)), **more}
    spec |= {"replicas": draw(st.integers(0, 4))} if draw(st.booleans()) else {}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": draw(metadata()), "spec": spec}


@st.composite
def jobs(draw: st.DrawFn) -> Object:
    policies = ("Never", "OnFailure")
    spec: Object = {"template": {"spec": draw(pod_specs(policies))}}
    spec |= draw(
        st.fixed_dictionaries({}, optional={"completions": st.integers(1, 3), "backoffLimit": st.integers(0, 6)})
    )
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": draw(metadata()), "spec": spec}


@st.composite
def cron_jobs(draw: st.DrawFn) -> Object:
    schedule = draw(st.sampled_from(["*/5 * * * *", "0 3 * * 1", "@hourly"]))
    spec = {"schedule": schedule, "jobTemplate": {"spec": draw(jobs())["spec"]}}
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": draw(metadata()), "spec": spec}


# -- what they are reached by, and run on -----------------------------------------------------------------------------


@st.composite
def services(draw: st.DrawFn) -> Object:
    numbers = draw(st.lists(st.integers(1, 65535), min_size=1, max_size=3, unique=True))
    named = zip(PORT_NAMES, numbers, strict=False)
    spec: Object = {"ports": [{"name": name, "port": number} for name, number in named]}
    spec["type"] = draw(st.sampled_from(["ClusterIP", "NodePort", "LoadBalancer"]))
    if selector := draw(label_sets()):
        spec["selector"] = selector
    if spec["type"] == "ClusterIP" and draw(st.integers(0, 3)) == 0:
        spec["clusterIP"] = "None"
    if draw(st.integers(0, 3)) == 0:
        spec["sessionAffinity"] = "ClientIP"
    return {"apiVersion": "v1", "kind": "Service", "metadata": draw(metadata()), "spec": spec}


@st.composite
def nodes(draw: st.DrawFn) -> Object:
    capacity = {"cpu": draw(st.sampled_from(["1", "4", "64"])), "memory": draw(st.sampled_from(["1Gi", "64Gi"]))}
    effect = st.sampled_from(["NoSchedule", "PreferNoSchedule", "NoExecute"])
    taints = draw(st.lists(effect.map(lambda e: {"key": "example.com/special", "effect": e}), max_size=1))
    found = {"apiVersion": "v1", "kind": "Node", "metadata": draw(metadata())}
    found |= {"spec": {"taints": taints}} if taints else {}
    return found | {"status": {"capacity": {**capacity, "pods": "110"}}}


def objects() -> S[Object]:
    """Of any kind that there is a strategy for."""
    return st.one_of(*(strategy() for strategy in KINDS.values()))


def _objects(api_version: str, kind: str, labels: S[dict[str, str]] | None = None, **parts: S[Any]) -> S[Object]:
    def build(metadata: Object, **drawn: Any) -> Object:
        some = {part: value for part, value in drawn.items() if value}
        return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **some}

    return st.builds(build, metadata=metadata(labels), **parts)


KINDS: dict[str, Callable[[], S[Object]]] = {
    "ConfigMap": config_maps,
    "Secret": secrets,
    "ServiceAccount": service_accounts,
    "Namespace": namespaces,
    "Pod": pods,
    "Deployment": deployments,
    "ReplicaSet": replica_sets,
    "StatefulSet": stateful_sets,
    "DaemonSet": daemon_sets,
    "Job": jobs,
    "CronJob": cron_jobs,
    "Service": services,
    "Node": nodes,
}
