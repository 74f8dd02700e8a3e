"""Clusters with all that the default plugins look at, drawn from a seed: few labels and nodes, so that things meet.

Each pod has a few of the features, not all of them, or none would ever find a node.
"""

from __future__ import annotations

import random
from typing import Any

from actors.scheduler.plugins.node_declared_features import RESTART_ALL, USER_NAMESPACES_ON_HOST_NETWORK
from protocols.objects import Object
from tests.scheduler.reference import Settings

HOST, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
MIB = 1024 * 1024
NAMESPACES = ("a", "b")
EFFECTS = ("NoSchedule", "PreferNoSchedule", "PreferNoSchedule", "NoExecute")
REQUIRED, PREFERRED = (f"{kind}DuringSchedulingIgnoredDuringExecution" for kind in ("required", "preferred"))


class Draw:
    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.one_of = self.chance.choice

    def now_and_then(self, share: float) -> bool:
        return self.chance.random() < share

    def some(self, share: float, **values: Any) -> dict[str, Any]:
        """Each field with this probability; a function is called for its value."""
        chosen = {key: value for key, value in values.items() if self.now_and_then(share)}
        return {key: value() if callable(value) else value for key, value in chosen.items()}

    # -- nodes ----------------------------------------------------------------------------------------------------

    def node(self, name: str) -> Object:
        labels = {
            ZONE: self.one_of(["za", "zb", "zc"]),
            "rack": self.one_of("12"),
            "gen": self.one_of("13"),
            HOST: name,
        }
        labels = {key: value for key, value in labels.items() if not self.now_and_then(0.1)}
        allocatable = {
            "cpu": self.one_of(["0", "1", "4", "4", "8"]),
            "memory": self.one_of(["0", "2Gi", "3000000001", "8Gi", "8Gi"]),
            "pods": self.one_of(["2", "9", "9"]),
            **self.some(0.5, **{"x.io/gpu": self.one_of("13")}),
        }
        taints = [{"key": self.one_of("kl"), "effect": self.one_of(EFFECTS)} for _ in range(self.chance.randrange(3))]
        kinds = [["app:latest"], ["app:1", "app@sha256:1"], ["big:1"]]
        images = [
            {"names": names, "sizeBytes": self.one_of([300, 900]) * MIB} for names in kinds if self.now_and_then(0.4)
        ]
        return {
            "metadata": {"name": name, "labels": labels},
            "spec": {"taints": taints if self.now_and_then(0.4) else [], "unschedulable": self.now_and_then(0.05)},
            "status": {
                "allocatable": allocatable,
                "images": images,
                **self.some(0.8, declaredFeatures=[RESTART_ALL, USER_NAMESPACES_ON_HOST_NETWORK]),
            },
        }

    def node_term(self) -> dict[str, Any]:
        key, values = self.one_of([(ZONE, ["za", "zb", "zc"]), ("rack", ["1", "2"]), ("gen", ["1", "2", "3"])])
        operators = ["In", "NotIn", "Exists", "DoesNotExist", *(["Gt", "Lt"] if key == "gen" else [])]
        expression = {"key": key, "operator": self.one_of(operators), "values": [self.one_of(values)]}
        named = {"key": "metadata.name", "operator": self.one_of(["In", "NotIn", "NotIn"]), "values": ["n1"]}
        return {**self.some(0.9, matchExpressions=[expression]), **self.some(0.1, matchFields=[named])}

    def node_affinity(self) -> dict[str, Any]:
        required = {"nodeSelectorTerms": [self.node_term() for _ in range(self.one_of([1, 2]))]}
        preferred = [{"weight": self.one_of([1, 10, 77]), "preference": self.node_term()} for _ in range(2)]
        return self.some(0.6, **{REQUIRED: required, PREFERRED: preferred})

    # -- pods -----------------------------------------------------------------------------------------------------

    def selector(self) -> dict[str, Any] | None:
        operator = self.one_of(["In", "NotIn", "Exists", "DoesNotExist"])
        values = {"values": [self.one_of("xy")]} if operator.endswith("In") else {}
        by_expression = {"matchExpressions": [{"key": self.one_of(["app", "tier"]), "operator": operator, **values}]}
        by_label = {"matchLabels": {"app": self.one_of("xy")}}
        return self.one_of([by_label, by_label, by_label, by_expression, {}, None])

    def key(self) -> str:
        return self.one_of([HOST, ZONE, ZONE, "rack"])

    def pod_term(self) -> dict[str, Any]:
        by_team = self.one_of([{}, {"matchLabels": {"team": "t"}}])
        where = self.some(0.25, namespaces=[self.one_of(NAMESPACES)], namespaceSelector=by_team)
        return {"topologyKey": self.key(), "labelSelector": self.selector(), **where}

    def pod_affinity(self, share: float) -> dict[str, Any]:
        preferred = [{"weight": self.one_of([1, 10, 100]), "podAffinityTerm": self.pod_term()} for _ in range(2)]
        required = [self.pod_term() for _ in range(self.one_of([1, 1, 2]))]
        return {**self.some(share, **{REQUIRED: required}), **self.some(0.6, **{PREFERRED: preferred})}

    def spread(self) -> dict[str, Any]:
        return {
            "topologyKey": self.key(),
            "maxSkew": self.one_of([1, 1, 2, 3]),
            "whenUnsatisfiable": self.one_of(["DoNotSchedule", "ScheduleAnyway"]),
            "labelSelector": self.selector(),
            **self.some(
                0.3,
                nodeAffinityPolicy="Ignore",
                nodeTaintsPolicy="Honor",
                minDomains=self.one_of([2, 3]),
                matchLabelKeys=["tier"],
            ),
        }

    def amounts(self) -> dict[str, str]:
        cpu, memory = self.one_of(["0", "1m", "100m", "333m", "1"]), self.one_of(["0", "64Mi", "1500000000"])
        return {**self.some(0.7, cpu=cpu, memory=memory), **self.some(0.2, **{"x.io/gpu": "1"})}

    def container(self) -> dict[str, Any]:
        resources = {**self.some(0.8, requests=self.amounts), **self.some(0.15, limits=self.amounts)}
        ip = self.some(0.5, hostIP="127.0.0.1", protocol="UDP")
        ports = self.some(0.15, ports=[{"hostPort": self.one_of([80, 81]), **ip}])
        rules = self.some(0.05, restartPolicyRules=[{"action": self.one_of(["Restart", "RestartAllContainers"])}])
        return {"image": self.one_of(["app", "app:1", "big:1"]), "resources": resources, **ports, **rules}

    def init_container(self) -> dict[str, Any]:
        return {**self.container(), **self.some(0.5, restartPolicy="Always")}

    def pod(self, name: str) -> Object:
        labels = self.some(0.8, app=self.one_of("xxy"), tier=self.one_of("xy"))
        owner = {"kind": self.one_of(["ReplicaSet", "ReplicationController"]), "name": "set", "controller": True}
        affinity = {
            **self.some(0.3, nodeAffinity=self.node_affinity),
            **self.some(
                0.3, podAffinity=lambda: self.pod_affinity(0.3), podAntiAffinity=lambda: self.pod_affinity(0.6)
            ),
        }
        keys = ["k", "l", "node.kubernetes.io/unschedulable"]
        tolerations = [
            {"key": key, "operator": "Exists", **self.some(0.4, effect=self.one_of(EFFECTS))}
            for key in keys
            if self.now_and_then(0.5)
        ]
        metadata = {"name": name, "uid": name, "namespace": self.one_of("aab"), "labels": labels}
        return {
            "metadata": {**metadata, **self.some(0.3, ownerReferences=[owner])},
            "spec": {
                "containers": [self.container() for _ in range(self.one_of([1, 1, 2]))],
                "affinity": affinity,
                "tolerations": tolerations,
                **self.some(0.15, initContainers=lambda: [self.init_container() for _ in range(2)]),
                **self.some(0.1, nodeSelector=self.one_of([{ZONE: "za"}, {"rack": "1"}])),
                **self.some(0.4, topologySpreadConstraints=lambda: [self.spread() for _ in range(self.one_of([1, 2]))]),
                **self.some(0.2, hostNetwork=True, hostUsers=False),
                **self.some(0.1, overhead={"cpu": "50m"}, resources={"requests": {"cpu": self.one_of(["2", "500m"])}}),
            },
            "status": {},
        }

    def group(self) -> Object:
        """Something that selects pods."""
        kind = self.one_of(["Service", "Service", "ReplicaSet", "ReplicationController"])
        labels = self.one_of([{"app": "x"}, {"app": "x"}, {"app": "y"}, {"tier": "x"}, {}])
        name = self.one_of(["s1", "s2"]) if kind == "Service" else "set"
        selector = {"matchLabels": labels} if kind == "ReplicaSet" else labels
        metadata = {"name": name, "namespace": self.one_of(NAMESPACES)}
        return {"kind": kind, "metadata": metadata, "spec": {"selector": selector}}

    # -- configuration --------------------------------------------------------------------------------------------

    def settings(self) -> Settings:
        if self.now_and_then(0.5):
            return Settings()
        names = ["cpu", "memory", "x.io/gpu"]
        points = sorted(self.chance.sample([0, 20, 30, 50, 70, 100], self.one_of([1, 2, 3])))
        constraints = [
            {"topologyKey": self.key(), "maxSkew": self.one_of([1, 2]), "whenUnsatisfiable": when}
            for when in ("DoNotSchedule", "ScheduleAnyway")
            if self.now_and_then(0.7)
        ]
        return Settings(
            fit=self.one_of(["LeastAllocated", "MostAllocated", "RequestedToCapacityRatio"]),
            fit_resources={name: self.one_of([1, 3]) for name in names if self.now_and_then(0.7)} or {"cpu": 1},
            balanced_resources=tuple(self.chance.sample(names, self.one_of([1, 2, 3]))),
            shape=[(point, self.chance.randrange(11)) for point in points],
            added_affinity=self.node_affinity() if self.now_and_then(0.4) else {},
            hard_pod_affinity_weight=self.one_of([0, 1, 50]),
            ignore_preferred_terms_of_existing_pods=self.now_and_then(0.4),
            default_constraints=self.one_of([None, constraints]),
        )
