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
RBAC_GROUP = "rbac.authorization.k8s.io"
RBAC = f"{RBAC_GROUP}/v1"
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


# -- how many they may be, and who may reach and change them ----------------------------------------------------------


@st.composite
def ingresses(draw: st.DrawFn) -> Object:
    port: Object = draw(st.sampled_from([{"number": draw(st.integers(1, 65535))}, {"name": "http"}]))
    backend = {"service": {"name": draw(names()), "port": port}}
    path = {"path": draw(st.sampled_from(["/", "/api"])), "pathType": draw(st.sampled_from(["Prefix", "Exact"]))}
    rule: Object = {"http": {"paths": [{**path, "backend": backend}]}}
    rule |= {"host": f"{draw(names())}.example.com"} if draw(st.booleans()) else {}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": draw(metadata()),
        "spec": draw(st.sampled_from([{"rules": [rule]}, {"defaultBackend": backend}])),
    }


@st.composite
def network_policies(draw: st.DrawFn) -> Object:
    peers: list[Object] = [
        {"podSelector": {"matchLabels": draw(label_sets())}},
        {"namespaceSelector": {}},
        {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}},
    ]
    port = {"protocol": draw(st.sampled_from(["TCP", "UDP"])), "port": draw(st.integers(1, 65535))}
    spec: Object = {"podSelector": {"matchLabels": draw(label_sets())}}
    spec["policyTypes"] = draw(st.sampled_from([["Ingress"], ["Egress"], ["Ingress", "Egress"]]))
    if "Ingress" in spec["policyTypes"]:
        spec["ingress"] = draw(st.sampled_from([[], [{}], [{"from": [draw(st.sampled_from(peers))], "ports": [port]}]]))
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": draw(metadata()),
        "spec": spec,
    }


@st.composite
def disruption_budgets(draw: st.DrawFn) -> Object:
    bound = draw(st.sampled_from(["minAvailable", "maxUnavailable"]))
    spec = {bound: draw(st.sampled_from([0, 1, 2, "50%"])), "selector": {"matchLabels": draw(label_sets(least=1))}}
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": draw(metadata()), "spec": spec}


@st.composite
def autoscalers(draw: st.DrawFn) -> Object:
    least = draw(st.integers(1, 3))
    target = {"type": "Utilization", "averageUtilization": draw(st.integers(1, 100))}
    spec: Object = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": draw(names())},
        "minReplicas": least,
        "maxReplicas": least + draw(st.integers(0, 7)),
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
    }
    if draw(st.booleans()):
        spec["behavior"] = {"scaleDown": {"stabilizationWindowSeconds": draw(st.sampled_from([0, 60, 300]))}}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": draw(metadata()),
        "spec": spec,
    }


@st.composite
def volume_claims(draw: st.DrawFn) -> Object:
    modes = draw(st.sampled_from([["ReadWriteOnce"], ["ReadOnlyMany"], ["ReadWriteOnce", "ReadWriteMany"]]))
    size = draw(st.sampled_from(["1Mi", "100Mi", "5Gi"]))
    spec: Object = {"accessModes": modes, "resources": {"requests": {"storage": size}}}
    spec |= {"storageClassName": draw(st.sampled_from(["", "standard"]))} if draw(st.booleans()) else {}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": draw(metadata()), "spec": spec}


def resource_quotas() -> S[Object]:
    counts = st.dictionaries(
        st.sampled_from(["pods", "services", "count/deployments.apps"]), st.integers(0, 50).map(str)
    )
    sums = st.dictionaries(st.sampled_from(["requests.cpu", "limits.cpu"]), st.sampled_from(CPUS))
    hard = st.builds(lambda some, others: {"hard": some | others}, counts, sums)
    return _objects("v1", "ResourceQuota", spec=hard)


def roles() -> S[Object]:
    return _objects(RBAC, "Role", rules=st.lists(_rules(), max_size=2))


def cluster_roles() -> S[Object]:
    pages: S[Object] = st.just({"nonResourceURLs": ["/metrics"], "verbs": ["get"]})
    return _objects(RBAC, "ClusterRole", rules=st.lists(_rules() | pages, max_size=2))


def role_bindings() -> S[Object]:
    return _bindings("RoleBinding", ["Role", "ClusterRole"])


def cluster_role_bindings() -> S[Object]:
    return _bindings("ClusterRoleBinding", ["ClusterRole"])


@st.composite
def _rules(draw: st.DrawFn) -> Object:
    group, resources = draw(
        st.sampled_from(
            [("", ["pods", "pods/log"]), ("apps", ["deployments"]), ("*", ["*"]), ("example.com", ["widgets"])]
        )
    )
    verbs = draw(st.lists(st.sampled_from(["get", "list", "watch", "create", "delete"]), min_size=1, unique=True))
    return {"apiGroups": [group], "resources": resources, "verbs": verbs}


@st.composite
def _bindings(draw: st.DrawFn, kind: str, of: list[str]) -> Object:
    user = {"kind": draw(st.sampled_from(["User", "Group"])), "name": draw(names()), "apiGroup": RBAC_GROUP}
    account = {"kind": "ServiceAccount", "name": draw(names()), "namespace": "default"}
    return {
        "apiVersion": RBAC,
        "kind": kind,
        "metadata": draw(metadata()),
        "subjects": draw(st.sampled_from([[], [user], [account], [user, account]])),
        "roleRef": {"apiGroup": RBAC_GROUP, "kind": draw(st.sampled_from(of)), "name": draw(names())},
    }


@st.composite
def priority_classes(draw: st.DrawFn) -> Object:
    found = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": draw(metadata())}
    more = st.fixed_dictionaries({}, optional={"preemptionPolicy": st.sampled_from(["Never", "PreemptLowerPriority"])})
    return {**found, "value": draw(st.integers(-100, 1_000_000)), **draw(more)}


@st.composite
def storage_classes(draw: st.DrawFn) -> Object:
    found = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": draw(metadata())}
    more = st.fixed_dictionaries(
        {"volumeBindingMode": st.sampled_from(["Immediate", "WaitForFirstConsumer"])},
        optional={"reclaimPolicy": st.sampled_from(["Delete", "Retain"]), "allowVolumeExpansion": st.booleans()},
    )
    return {**found, "provisioner": "example.com/disks", **draw(more)}


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
    "Ingress": ingresses,
    "NetworkPolicy": network_policies,
    "PodDisruptionBudget": disruption_budgets,
    "HorizontalPodAutoscaler": autoscalers,
    "PersistentVolumeClaim": volume_claims,
    "ResourceQuota": resource_quotas,
    "Role": roles,
    "ClusterRole": cluster_roles,
    "RoleBinding": role_bindings,
    "ClusterRoleBinding": cluster_role_bindings,
    "PriorityClass": priority_classes,
    "StorageClass": storage_classes,
}
