"""Do we decide as a real kube-scheduler does? Same pods on same nodes: the same feasible nodes, the same scores.

    python -m bench.scheduler_compare --kube-scheduler PATH [--server URL | --kubeconfig FILE] [--pods 200] [--seed 1]
    python -m bench.scheduler_compare --kube-scheduler PATH --kube-apiserver PATH --kube-controller-manager PATH

The API server is the one that is named, or else a cluster of ours that is started for it. Random nodes and pods are
created there one after another; the real scheduler places them, and says at -v=10 how it scored which nodes; ours
decides on the same objects. Nodes of the same, highest score are equal: kube-scheduler draws one of them. Scores are
compared up to a constant for each pod, for a plugin may leave out what all nodes have. Who has to go
for a pod is compared too, and what is said of one that finds no node. An older version is given 1.36's
weights, and plugins whose formula was another one then rate nothing, on either side. Everything is deleted at the end.
The exit code is 0 if the feasible nodes were always the same and its node was always one of our best.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import subprocess
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import yaml

from actorkube.cli.api import Api
from actorkube.cli.cluster_objects import list_cluster
from actors.planning import KINDS, LIST_PATHS
from actors.scheduler.cycle import SchedulingCycle, gate
from actors.scheduler.demand import PodDemand
from actors.scheduler.diagnosis import Unschedulable
from actors.scheduler.explain.snapshot import cluster_state, snapshot_of
from actors.scheduler.framework import Profile, Refusal
from actors.scheduler.profile import DEFAULT_PROFILE
from bench.scheduler_compare_log import Scores, read_gate, read_scores
from bench.scheduler_compare_stock import claims_for, make_stock, path_of
from bench.scheduler_compare_world import make_nodes, make_pods
from protocols.errors import NotFound
from protocols.objects import Object, key_of
from tests.cluster.live import LiveCluster
from tests.cluster.real_kubernetes import controller_manager, real_apiserver

NAME = "kube-scheduler-compared"
DECIDED_WITHIN_S = 30.0
SETTLED_WITHIN_S = 60.0
POLL_S = 0.02
WEIGHTS = {plugin.name: weight for plugin, weight in DEFAULT_PROFILE.score}
# Plugins whose formula was another one before this version: 1.20 truncated what is rounded now, and counted from 0.
CHANGED = {"NodeResourcesBalancedAllocation": 36, "PodTopologySpread": 21, "InterPodAffinity": 21}
OLD_NAMES = {"NodeResourcesFit": "NodeResourcesLeastAllocated"}  # before 1.22
OLD_WORDS = 36  # before it, what follows the reasons was said otherwise
SELECTED_NODE = "volume.kubernetes.io/selected-node"


class Seen(NamedTuple):
    """What the real one did with a pod: its node, or the words of the condition; for whom others had to go, and who."""

    scores: Scores
    node: str = ""
    message: str = ""
    nominated: str = ""
    victims: frozenset[str] = frozenset()
    gated: str = ""


class Compared:
    """What was equal, and what was not."""

    def __init__(self) -> None:
        self.pods = self.placed = self.feasible = self.best = self.totals = self.said = 0
        self.preempting = self.victims = self.gated = self.gates = 0
        self.plugins: defaultdict[str, Counter[bool]] = defaultdict(Counter)
        self.reasons: Counter[str] = Counter()
        self.differences: list[str] = []

    def lines(self) -> Iterator[str]:
        yield f"{self.pods} pods, {self.placed} of them placed"
        yield f"the same feasible nodes: {self.feasible} of {self.pods}"
        yield f"its node is one of our best: {self.best} of {self.placed}"
        yield f"the same totals: {self.totals} of {self.placed}"
        yield f"the same words about why not: {self.said} of {self.pods - self.placed}"
        yield f"the same have to go for more important ones: {self.victims} of {self.preempting}"
        yield f"not tried yet, and why: {self.gates} of {self.gated}"
        for plugin, counts in sorted(self.plugins.items()):
            yield f"  {plugin}: the same scores for {counts[True]} of {counts.total()} pods"
        yield from (f"  said of nodes: {reason} ({times} pods)" for reason, times in sorted(self.reasons.items()))
        yield from (f"different: {text}" for text in self.differences[:10])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kube-scheduler", required=True, metavar="PATH")
    parser.add_argument("--server", metavar="URL", help="an API server that asks for no credentials")
    parser.add_argument("--kubeconfig", metavar="FILE")
    parser.add_argument("--kube-apiserver", metavar="PATH", help="started on an etcd, instead of a cluster of ours")
    parser.add_argument("--kube-controller-manager", metavar="PATH", help="with it")
    parser.add_argument("--nodes", type=int, default=30)
    parser.add_argument("--pods", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    version = subprocess.run([options.kube_scheduler, "--version"], capture_output=True, text=True, check=True).stdout
    minor = int((re.search(r"v1\.(\d+)", version) or [0, "36"])[1])
    with tempfile.TemporaryDirectory() as directory, kubeconfig_of(options, Path(directory)) as kubeconfig:
        found = compare(options, Path(directory), kubeconfig, minor)
    print(version.strip())
    print("\n".join(found.lines()))
    same = found.pods == found.feasible and found.best == found.placed and found.victims == found.preempting
    return 0 if same and found.gates == found.gated else 1


@contextlib.contextmanager
def kubeconfig_of(options: argparse.Namespace, directory: Path) -> Iterator[Path]:
    grace = ("--node-monitor-grace-period", "200h")
    if options.kubeconfig:
        yield Path(options.kubeconfig)
    elif options.server:
        file = directory / "kubeconfig"
        file.write_text(yaml.safe_dump(plain_kubeconfig(options.server)))
        yield file
    elif options.kube_apiserver:
        binary = options.kube_controller_manager
        with (
            real_apiserver(directory / "real", accounts=False, binary=options.kube_apiserver) as server,
            controller_manager(directory / "managers", server.kubeconfig, "=".join(grace), binary=binary),
        ):
            yield server.kubeconfig
    else:
        cluster = LiveCluster(directory, "--nodes", "0", *grace).start()
        try:
            yield cluster.kubeconfig
        finally:
            cluster.stop()


def plain_kubeconfig(server: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": NAME,
        "contexts": [{"name": NAME, "context": {"cluster": NAME, "user": NAME}}],
        "clusters": [{"name": NAME, "cluster": {"server": server}}],
        "users": [{"name": NAME, "user": {}}],
    }


def compare(options: argparse.Namespace, directory: Path, kubeconfig: Path, minor: int) -> Compared:
    found, profile = Compared(), profile_for(minor)
    nodes, pods = make_nodes(options.nodes, options.seed), make_pods(options.pods, options.seed, NAME)
    made: list[Object] = []
    with Api(str(kubeconfig)) as api:
        try:
            for obj in [*make_stock(nodes, options.seed), *nodes]:
                post(api, obj)
                made.append(obj)
            settle(api)
            with kube_scheduler(options.kube_scheduler, directory, kubeconfig, minor) as log:
                for pod in pods:
                    for obj in [*claims_for(pod), pod]:
                        made.append(obj)
                    one(api, log, pod, profile, found, minor)
        finally:
            for obj in reversed(made):
                with contextlib.suppress(Exception):
                    delete(api, obj)
    return found


def settle(api: Api) -> None:
    """Until nodes are what their status says, and claims have the volumes that name them."""
    until = time.monotonic() + SETTLED_WITHIN_S
    while time.monotonic() < until:
        nodes = json.loads(api.get("/api/v1/nodes"))["items"]
        claims = json.loads(api.get("/api/v1/persistentvolumeclaims"))["items"]
        taints = {taint["key"] for node in nodes for taint in node["spec"].get("taints", ())}
        waiting = [claim for claim in claims if claim["spec"].get("volumeName") and claim["status"]["phase"] != "Bound"]
        if not waiting and "node.kubernetes.io/not-ready" not in taints:
            return
        time.sleep(0.1)
    raise TimeoutError(f"claims {[key_of(claim) for claim in waiting]} are not bound, or nodes not ready: {taints}")


def one(api: Api, log: IO[str], pod: Object, profile: Profile, found: Compared, minor: int) -> None:
    """One pod: what ours says of it, what the real one did."""
    name = key_of(pod)
    for claim in claims_for(pod):
        post(api, claim)
    before = snapshot_of(list_cluster(api, LIST_PATHS, KINDS))
    created = post(api, pod)
    seen = decided(api, log, created)
    cycle = SchedulingCycle(cluster_state(before), profile)
    demand = PodDemand(created, cycle.state.shapes)
    if seen.gated:
        compare_gate(found, name, seen, gate(demand, profile, cycle.state))
        delete(api, created)
        return
    decision, ours = cycle.decide(demand), cycle.examine(demand)
    feasible = set(seen.scores.nodes) or ({seen.node} if seen.node else set())
    found.pods += 1
    same = feasible == set(ours.totals)
    found.feasible += same
    if not same:
        found.differences.append(f"{name}: feasible {sorted(feasible)}, ours {sorted(ours.totals)}: {seen.message}")
    if not seen.node:
        if isinstance(decision, Unschedulable):
            compare_words(found, name, seen, decision, minor)
            if seen.nominated:
                compare_victims(found, name, seen, decision)
        delete(api, created)
        return
    found.placed += 1
    best = bool(ours.totals) and ours.totals.get(seen.node) == max(ours.totals.values())
    found.best += best
    if not best:
        found.differences.append(f"{name}: its node {seen.node}, ours {ours.totals}")
    if same and seen.scores.nodes:
        compare_scores(found, name, seen.scores, ours.totals, ours.by_plugin)
    else:
        found.totals += same  # the only node that will do has no scores


def compare_gate(found: Compared, name: str, seen: Seen, refusal: Refusal | None) -> None:
    ours = ", ".join(refusal.reasons) if refusal is not None else ""
    found.gated += 1
    found.gates += seen.gated == ours
    if seen.gated != ours:
        found.differences.append(f"{name}: is not tried, {seen.gated!r}, ours {ours!r}")


def compare_words(found: Compared, name: str, seen: Seen, decision: Unschedulable, minor: int) -> None:
    said = (words(decision.message), words(seen.message)) if minor < OLD_WORDS else (decision.message, seen.message)
    found.said += said[0] == said[1]
    found.reasons.update(set(decision.counts) or {decision.message})
    if said[0] != said[1]:
        found.differences.append(f"{name}: {said[1]!r}, ours {said[0]!r}")


def compare_victims(found: Compared, name: str, seen: Seen, decision: Unschedulable) -> None:
    """kube-scheduler takes the first of those candidates that are equal in all that counts."""
    found.preempting += 1
    candidates = decision.candidates()
    keys = [each[:5] for each in candidates]
    ours = {each.node: each.victims for each in candidates if each[:5] == min(keys)}
    same = {victim.key for victim in ours.get(seen.nominated, ())} == seen.victims
    found.victims += same
    if not same:
        theirs = f"{seen.nominated} {sorted(seen.victims)}"
        found.differences.append(f"{name}: makes room on {theirs}, ours {ours} of {len(candidates)}")


def compare_scores(
    found: Compared, name: str, theirs: Scores, totals: Mapping[str, int], by_plugin: Mapping[str, Mapping[str, int]]
) -> None:
    found.totals += is_shifted(theirs.totals, totals)
    alike = dict.fromkeys(totals, 0)
    for plugin in WEIGHTS:
        scores = theirs.by_plugin.get(plugin) or theirs.by_plugin.get(OLD_NAMES.get(plugin, ""))
        if scores is not None:
            ours = by_plugin.get(plugin, alike)
            found.plugins[plugin][same := is_shifted(scores, ours)] += 1
            if not same:
                found.differences.append(f"{name}: {plugin} says {scores}, ours {dict(ours)}")


def is_shifted(one: Mapping[str, int], other: Mapping[str, int]) -> bool:
    """Equal up to a constant."""
    return one.keys() == other.keys() and len({one[node] - other[node] for node in one}) == 1


def words(message: str) -> str:
    """What comes before PostFilter is spoken of; that has changed from version to version."""
    return re.split(r" (?:no new claims|still not|deallocation of|preemption:)", message)[0].rstrip(".")


def post(api: Api, obj: Object) -> Object:
    stored: Object = json.loads(
        api.send("POST", path_of(obj), json.dumps(obj).encode(), {"Content-Type": "application/json"})
    )
    return {"apiVersion": obj["apiVersion"], "kind": obj["kind"], **stored}


def delete(api: Api, obj: Object) -> None:
    with contextlib.suppress(NotFound):
        api.send("DELETE", f"{path_of(obj)}/{obj['metadata']['name']}?gracePeriodSeconds=0", None)


def patch_status(api: Api, obj: Object, status: Object) -> None:
    body = json.dumps({"status": status}).encode()
    path = f"{path_of(obj)}/{obj['metadata']['name']}/status"
    api.send("PATCH", path, body, {"Content-Type": "application/strategic-merge-patch+json"})


def decided(api: Api, log: IO[str], created: Object) -> Seen:
    """What became of the pod. Who has to go is gone afterwards, and who is bound runs."""
    name, path = key_of(created), f"{path_of(created)}/{created['metadata']['name']}"
    deadline = time.monotonic() + DECIDED_WITHIN_S
    logged = ""
    while time.monotonic() < deadline:
        logged += log.read()
        pod = json.loads(api.get(path))
        node = pod["spec"].get("nodeName") or selected_node(api, created)
        refused = [
            c for c in pod["status"].get("conditions") or () if c["type"] == "PodScheduled" and c["status"] == "False"
        ]
        if gated := read_gate(logged, name):
            return Seen(Scores({}), gated=gated)
        if node or refused:
            logged += log.read()
            scores = read_scores(logged, name)
            if pod["spec"].get("nodeName"):
                now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
                ready = [{"type": "Ready", "status": "True"}]
                patch_status(api, created, {"phase": "Running", "startTime": now, "conditions": ready})
            elif node:
                delete(api, created)
            nominated = pod["status"].get("nominatedNodeName", "")
            victims = make_room(api, nominated) if nominated else frozenset()
            return Seen(scores, node, refused[0].get("message", "") if refused else "", nominated, victims)
        time.sleep(POLL_S)
    raise TimeoutError(
        f"{name} was not decided within {DECIDED_WITHIN_S} s; the scheduler's log ends: {logged[-2000:]}"
    )


def selected_node(api: Api, pod: Object) -> str:
    """Where a volume is to be made for it: nobody will, so it is not bound."""
    for claim in claims_for(pod):
        if claim["kind"] == "PersistentVolumeClaim":
            stored = json.loads(api.get(f"{path_of(claim)}/{claim['metadata']['name']}"))
            if node := stored["metadata"].get("annotations", {}).get(SELECTED_NODE, ""):
                return str(node)
    return ""


def make_room(api: Api, node: str) -> frozenset[str]:
    """Who has to go from that node, once it is clear; gone, as if the kubelet had ended them."""
    deadline = time.monotonic() + DECIDED_WITHIN_S
    seen: frozenset[str] = frozenset()
    quiet = 0
    while time.monotonic() < deadline and quiet < 10:
        time.sleep(POLL_S)
        items = json.loads(api.get("/api/v1/pods?fieldSelector=spec.nodeName%3D" + node))["items"]
        leaving = frozenset(key_of(pod) for pod in items if pod["metadata"].get("deletionTimestamp"))
        quiet = quiet + 1 if leaving and leaving == seen else 0
        seen = leaving
    for pod in items:
        if key_of(pod) in seen:
            delete(api, {"apiVersion": "v1", "kind": "Pod", **pod})
    return seen


@contextlib.contextmanager
def kube_scheduler(program: str, directory: Path, kubeconfig: Path, minor: int) -> Iterator[IO[str]]:
    """Its log from now on."""
    config, file = directory / "scheduler.yaml", directory / "scheduler.log"
    config.write_text(yaml.safe_dump(configuration(kubeconfig, minor)))
    command = [program, f"--config={config}", "-v=10", "--secure-port=0" if minor < 24 else "--secure-port=10999"]
    if minor < 21:  # it wants budgets of a version that nobody serves any more
        command += ["--port=0", "--feature-gates=PodDisruptionBudget=false"]
    with file.open("w") as written:
        process = subprocess.Popen(command, stdout=written, stderr=subprocess.STDOUT)
    try:
        with file.open() as log:
            yield log
    finally:
        process.terminate()
        process.wait(20)


def profile_for(minor: int) -> Profile:
    """The default profile, without the scores that this version works out otherwise."""
    scores = [plugin.name for plugin, _ in DEFAULT_PROFILE.score if minor >= CHANGED.get(plugin.name, 0)]
    weights = dict(DEFAULT_PROFILE.score)
    return Profile(*((plugin, weights.get(plugin, 0)) for plugin in DEFAULT_PROFILE.plugins), points={"score": scores})


def configuration(kubeconfig: Path, minor: int) -> dict[str, Any]:
    """All nodes are scored, with 1.36's weights."""
    enabled = [
        {"name": OLD_NAMES.get(plugin.name, plugin.name) if minor < 22 else plugin.name, "weight": weight}
        for plugin, weight in profile_for(minor).score
    ]
    version = "v1" if minor >= 25 else "v1beta2" if minor >= 22 else "v1beta1"
    return {
        "apiVersion": f"kubescheduler.config.k8s.io/{version}",
        "kind": "KubeSchedulerConfiguration",
        "clientConnection": {"kubeconfig": str(kubeconfig.absolute()), "qps": 1000, "burst": 1000},
        "leaderElection": {"leaderElect": False},
        "percentageOfNodesToScore": 100,
        "profiles": [{"schedulerName": NAME, "plugins": {"score": {"disabled": [{"name": "*"}], "enabled": enabled}}}],
    }


if __name__ == "__main__":
    raise SystemExit(main())
