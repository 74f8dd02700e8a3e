"""kubectl prints the same on our API server as on a real kube-apiserver, and ends in the same way.

It runs where ACTORKUBE_KUBE_APISERVER names one, and is skipped elsewhere.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.real_kubernetes import needs_apiserver
from tests.cluster.two_servers import TwoServers, two_servers
from tests.etcd.real_etcd import needs_etcd

pytestmark = [pytest.mark.cluster, needs_apiserver, needs_etcd]

MANIFEST = """
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web, tier: front}}
spec: {containers: [{name: c, image: nginx, ports: [{containerPort: 80}]}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: nginx}]}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  selector: {matchLabels: {app: db}}
  template: {metadata: {labels: {app: db}}, spec: {containers: [{name: c, image: db}]}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: often}
spec:
  schedule: "*/5 * * * *"
  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: busybox}]}}}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: closed}
spec: {podSelector: {}, policyTypes: [Ingress]}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec: {minAvailable: 1, selector: {matchLabels: {app: web}}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}, maxReplicas: 5}
"""
# In this order: what changes something is seen by those behind it.
LINES = """
get all --show-labels
get deployments,statefulsets,cronjobs,networkpolicies,pdb,hpa -o wide
get pods -o name
get pods -l 'app in web'
get pods --field-selector spec.foo=a
get nothere
get deployment web nothere
describe deployment web
describe pod web
describe cronjob often
describe hpa web
explain pod.spec.containers.resources
explain pods.spec.nothere
auth can-i create pods --as=jane
auth whoami --as=jane --as-group=g -o yaml
get secrets --as=nobody
create deployment web --image=nginx
create namespace Bad_Name
create quota q --hard=cpu=2 --scopes=BestEffort
create cronjob c --image=a --schedule=bad
create job now --from=cronjob/often
create token nothere
expose deployment web --port=80 --name=more
autoscale deployment web --max=0
scale deployment web --replicas=-1
scale deployment web --replicas=5 --current-replicas=3
scale pod web --replicas=1
set image deployment/web c=nginx:2
set resources deployment web --limits=cpu=1 --requests=cpu=2
label pod web tier=back
label pod web tier=back --overwrite
patch deployment web --type=merge -p {"spec":{"selector":{"matchLabels":{"app":"zz"}}}}
taint node nothere a=b:NoSchedule
rollout pause deployment web
rollout pause deployment web
rollout history deployment web
rollout undo deployment web
wait pod web --for=condition=Ready --timeout=0s
logs web
delete pod nothere
delete statefulset db --cascade=orphan --wait=false
""".strip().splitlines()
_AGE = re.compile(r"\b(\d+[dhm])*\d+s\b")
_OWN = (
    (re.compile(r"127\.\d+\.\d+\.\d+"), "ADDRESS"),
    (re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), .* \+0000"), "THEN"),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:]+Z"), "THEN"),
    (re.compile(r"kube-api-access-\w+"), "TOKEN"),
    (re.compile(r".*openshift-service-ca\.crt\n.*Optional: +false\n"), ""),
    (_AGE, "AGE"),
    (re.compile(r" +"), " "),
)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoServers]:
    with two_servers(tmp_path_factory.mktemp("both")) as servers:
        yield servers


def test_what_kubectl_prints(both: TwoServers, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.yaml"
    manifest.write_text(MANIFEST)

    differing: list[str] = []
    for line in [f"create -f {manifest}", f"diff -f {manifest}", *LINES, f"apply -f {manifest} --server-side"]:
        words = [word.strip("'") for word in re.findall(r"'[^']*'|\S+", line)]
        theirs, ours = (_plain(side.kubectl(*words, check=False)) for side in both)
        if theirs != ours:
            differing += [line, *difflib.unified_diff(theirs.splitlines(), ours.splitlines(), lineterm="", n=1)]

    assert "\n".join(differing) == ""


def _plain(printed: str) -> str:
    for pattern, instead in _OWN:
        printed = pattern.sub(instead, printed)
    return printed
