"""Clusters that wait, booted, to be copied; and a rehearsal, so that no copy is the first to do what every test does.

What a process imports and works out at first use (parsers, the schemas of kinds) a copy would pay for each time anew:
so one small cluster does all of it once, before the first copy is made, and is thrown away.
"""

from __future__ import annotations

from actorkube.testing.cluster import Cluster
from actorkube.testing.leaks import leaked, resources
from actorkube.testing.options import Options

KEPT_MAX = 8
MANIFEST = """\
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}
---
{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {selector: {app: a}, ports: [{port: 80}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: a}
spec:
  selector: {matchLabels: {app: a}}
  template: {metadata: {labels: {app: a}}, spec: {containers: [{name: main, image: none}]}}
"""


class WarmClusters:
    """One for each set of options; none is ever used itself."""

    def __init__(self) -> None:
        self._clusters: dict[Options, Cluster] = {}

    def get(self, options: Options) -> Cluster:
        if not self._clusters:
            rehearse()
        if options not in self._clusters:
            if len(self._clusters) >= KEPT_MAX:
                self._clusters.pop(next(iter(self._clusters))).close()
            self._clusters[options] = Cluster(options)
        return self._clusters[options]

    def close(self) -> None:
        for cluster in self._clusters.values():
            cluster.close()


def rehearse() -> None:
    leaked(resources())
    cluster = Cluster(nodes=1, etcd=1)
    try:
        cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}})
        cluster.apply(MANIFEST)
        cluster.wait("deploy/a", "Available")
        cluster.scale("deploy/a", 0)
        cluster.list("pods", labels="app=a")
        cluster.delete("deploy/a")
        cluster.settled()
    finally:
        cluster.close()
