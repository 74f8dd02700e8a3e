"""Do we decide as a real kube-scheduler does? Same pods on same nodes: the same feasible nodes, the same scores.

    python -m bench.scheduler_compare --kube-scheduler PATH [--server URL | --kubeconfig FILE] [--pods 200] [--seed 1]

The API server is the one that is named, or else a cluster of ours that is started for it. Random nodes and pods are
created there one after another; the real scheduler places them, and says at -v=10 how it scored which nodes; ours
decides on the same objects. Nodes of the same, highest score are equal: kube-scheduler draws one of them. Scores are
compared up to a constant for each pod, for a plugin may leave out what all nodes have. An older version is given 1.36's
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
from typing import IO, Any

import yaml

from actorkube.cli.api import Api
from actorkube.cli.cluster_objects import list_cluster
from actors.planning import KINDS, LIST_PATHS
from actors.scheduler.cycle import Decision, SchedulingCycle
from actors.scheduler.demand import PodDemand
from actors.scheduler.explain.snapshot import cluster_state, snapshot_of
from actors.scheduler.framework import Profile
from actors.scheduler.profile import DEFAULT_PROFILE
from bench.scheduler_compare_log import Scores, read_scores
from bench.scheduler_compare_world import make_nodes, make_pods
from tests.cluster.live import LiveCluster

NAME = "kube-scheduler-compared"
PODS = "/api/v1/namespaces/default/pods"
DECIDED_WITHIN_S = 30.0
POLL_S = 0.02
WEIGHTS = {plugin.name: weight for plugin, weight in DEFAULT_PROFILE.score}
# Plugins whose formula was another one before this version: 1.20 truncated what is rounded now, and counted from 0.
CHANGED = {"NodeResourcesBalancedAllocation": 36, "PodTopologySpread": 21, "InterPodAffinity": 21}
OLD_NAMES = {"NodeResourcesFit": "NodeResourcesLeastAllocated"}  # before 1.22


class Compared:
    """What was equal, and what was not."""

    def __init__(self) -> None:
        self.pods = self.placed = self.feasible = self.best = self.totals = self.said = 0
        self.plugins: defaultdict[str, Counter[bool]] = defaultdict(Counter)
        self.differences: list[str] = []

    def lines(self) -> Iterator[str]:
        yield f"{self.pods} pods, {self.placed} of them placed"
        yield f"the same feasible nodes: {self.feasible} of {self.pods}"
        yield f"its node is one of our best: {self.best} of {self.placed}"
        yield f"the same totals: {self.totals} of {self.placed}"
        yield f"the same words about why not: {self.said} of {self.pods - self.placed}"
        for plugin, counts in sorted(self.plugins.items()):
            yield f"  {plugin}: the same scores for {counts[True]} of {counts.total()} pods"
        yield from (f"different: {text}" for text in self.differences[:10])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kube-scheduler", required=True, metavar="PATH")
    parser.add_argument("--server", metavar="URL", help="an API server that asks for no credentials")
    parser.add_argument("--kubeconfig", metavar="FILE")
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
    return 0 if found.pods == found.feasible and found.best == found.placed else 1


@contextlib.contextmanager
def kubeconfig_of(options: argparse.Namespace, directory: Path) -> Iterator[Path]:
    if options.kubeconfig:
        yield Path(options.kubeconfig)
    elif options.server:
        file = directory / "kubeconfig"
        file.write_text(yaml.safe_dump(plain_kubeconfig(options.server)))
        yield file
    else:
        cluster = LiveCluster(directory, "--nodes", "0", "--node-monitor-grace-period", "200h").start()
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
    with Api(str(kubeconfig)) as api:
        try:
            for node in nodes:
                post(api, "/api/v1/nodes", node)
            with kube_scheduler(options.kube_scheduler, directory, kubeconfig, minor) as log:
                for pod in pods:
                    one(api, log, pod, profile, found)
        finally:
            for path, objects in ((PODS, pods), ("/api/v1/nodes", nodes)):
                for obj in objects:
                    with contextlib.suppress(Exception):
                        api.send("DELETE", f"{path}/{obj['metadata']['name']}?gracePeriodSeconds=0", None)
    return found


def one(api: Api, log: IO[str], pod: dict[str, Any], profile: Profile, found: Compared) -> None:
    """One pod: what ours says of it, what the real one did."""
    name = pod["metadata"]["name"]
    before = snapshot_of(list_cluster(api, LIST_PATHS, KINDS))
    created = post(api, PODS, pod)
    theirs, node, message = decided(api, log, name)
    cycle = SchedulingCycle(cluster_state(before), profile)
    demand = PodDemand(created, cycle.state.shapes)
    decision, ours = cycle.decide(demand), cycle.examine(demand)
    feasible = set(theirs.nodes) or ({node} if node else set())
    found.pods += 1
    same = feasible == set(ours.totals)
    found.feasible += same
    if not same:
        found.differences.append(f"{name}: feasible {sorted(feasible)}, ours {sorted(ours.totals)}")
    if not node:
        said = not isinstance(decision, Decision) and words(decision.message) == words(message)
        found.said += said
        if not said and not isinstance(decision, Decision):
            found.differences.append(f"{name}: {message!r}, ours {decision.message!r}")
        return
    found.placed += 1
    best = bool(ours.totals) and ours.totals.get(node) == max(ours.totals.values())
    found.best += best
    if not best:
        found.differences.append(f"{name}: its node {node}, ours {ours.totals}")
    if same and theirs.nodes:
        compare_scores(found, theirs, ours.totals, ours.by_plugin)
    else:
        found.totals += same  # the only node that will do has no scores


def compare_scores(
    found: Compared, theirs: Scores, totals: Mapping[str, int], by_plugin: Mapping[str, Mapping[str, int]]
) -> None:
    found.totals += is_shifted(theirs.totals, totals)
    alike = dict.fromkeys(totals, 0)
    for plugin in WEIGHTS:
        scores = theirs.by_plugin.get(plugin) or theirs.by_plugin.get(OLD_NAMES.get(plugin, ""))
        if scores is not None:
            found.plugins[plugin][is_shifted(scores, by_plugin.get(plugin, alike))] += 1


def is_shifted(one: Mapping[str, int], other: Mapping[str, int]) -> bool:
    """Equal up to a constant."""
    return one.keys() == other.keys() and len({one[node] - other[node] for node in one}) == 1


def words(message: str) -> str:
    """What comes before preemption is spoken of; that has changed from version to version."""
    return message.partition(" preemption:")[0].rstrip(".")


def post(api: Api, path: str, obj: dict[str, Any]) -> dict[str, Any]:
    stored: dict[str, Any] = json.loads(
        api.send("POST", path, json.dumps(obj).encode(), {"Content-Type": "application/json"})
    )
    return stored


def decided(api: Api, log: IO[str], name: str) -> tuple[Scores, str, str]:
    """The scores that were logged, the node, or the words of the condition."""
    deadline = time.monotonic() + DECIDED_WITHIN_S
    logged = ""
    while time.monotonic() < deadline:
        logged += log.read()
        pod = json.loads(api.get(f"{PODS}/{name}"))
        refused = [
            c for c in pod["status"].get("conditions") or () if c["type"] == "PodScheduled" and c["status"] == "False"
        ]
        if pod["spec"].get("nodeName") or refused:
            logged += log.read()
            message = refused[0].get("message", "") if refused else ""
            return read_scores(logged, f"default/{name}"), pod["spec"].get("nodeName", ""), message
        time.sleep(POLL_S)
    raise TimeoutError(
        f"{name} was not decided within {DECIDED_WITHIN_S} s; the scheduler's log ends: {logged[-2000:]}"
    )


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
