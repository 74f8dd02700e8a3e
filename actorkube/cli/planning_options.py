"""The command lines of `why` and `whatif`, apart from what they do: whoever wants neither pays for neither."""

from __future__ import annotations

import argparse

WHY_EXAMPLES = """\
examples:
  python -m actorkube why pod/web-1
  python -m actorkube why pod/web-1 -n shop --score-table     each plugin's weighted score for each node that will do
  python -m actorkube why pod/web-1 -o json | jq .nearest
"""

WHATIF_EXAMPLES = """\
examples:
  python -m actorkube whatif -f examples/web.yaml                    on the cluster that kubectl talks to
  python -m actorkube whatif -f examples/web.yaml --nodes 3          on three empty nodes; no cluster is needed
  python -m actorkube whatif --pending --add-nodes 2                 would what waits fit, with two nodes more?
  python -m actorkube whatif --record now.json.gz                    keep the cluster's state ...
  python -m actorkube whatif -f pods.yaml --state now.json.gz        ... and try on it, here or elsewhere
"""


def add_why(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Say which filters refuse which nodes, which node is nearest and what would have to change for it; "
        "for a pod that has a node, why that one. Any cluster that kubectl reaches."
    )
    parser.epilog = WHY_EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("what", metavar="pod/NAME")
    add("-n", "--namespace", default="default")
    add("-o", "--output", choices=("text", "json"), default="text")
    add("--score-table", action="store_true", help="the weighted score of each plugin for each node that will do")
    _add_sources(parser)


def add_whatif(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Say where pods would go and what would be left on each node. Decided on a copy by the scheduler's own code, "
        "the same every time for a seed; nothing is written to the cluster. "
        "Pods and workloads (Deployments, DaemonSets, CronJobs, ...) make pods; services, namespaces and nodes count."
    )
    parser.epilog = WHATIF_EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("-f", "--file", action="append", default=[], metavar="FILE", help="manifests; - is standard input")
    add("-n", "--namespace", default="default", help="of manifests that name none")
    add("--pending", action="store_true", dest="waiting", help="place the cluster's own waiting pods, too, and first")
    add("--nodes", metavar="N|FILE", help="these nodes only; with a cluster, all its pods are placed anew on them")
    add("--add-nodes", metavar="N|FILE", help="these nodes, besides the cluster's")
    add("--node-size", default="", metavar="SIZE", help="of N nodes (default cpu=4,memory=32Gi,pods=110)")
    add("--zones", type=int, default=0, metavar="Z", help="N nodes are in so many zones (default: in none)")
    add("--seed", type=int, default=0, help="decides between nodes that are equally good (default 0)")
    add("-o", "--output", choices=("text", "json"), default="text")
    add("--all-nodes", action="store_true", help="show each node, not only the first 40")
    add("--score-table", action="store_true", help="the weighted score of each plugin for each node that would do")
    add("--picture", metavar="FILE.svg", help="draw it, too")
    add("--record", metavar="FILE", help="write the cluster's state to this file (.gz: compressed)")
    _add_sources(parser)


def _add_sources(parser: argparse.ArgumentParser) -> None:
    """Which cluster it is about."""
    add = parser.add_argument
    add("--kubeconfig", metavar="FILE", help="of the cluster (default: KUBECONFIG, or ~/.actorkube/kubeconfig)")
    add("--context", default="", metavar="NAME", help="a context of the kubeconfig (default: its current one)")
    add("--state", metavar="FILE", help="a recorded cluster instead (a List in JSON or YAML, .gz or not)")
    add(
        "--scheduler-config",
        metavar="FILE",
        help="its scheduler's KubeSchedulerConfiguration (default: that of our running cluster, or kube-scheduler's)",
    )
