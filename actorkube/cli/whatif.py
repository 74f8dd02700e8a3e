"""`actorkube whatif -f pods.yaml`: where would these pods go? Decided on a copy, nothing is written to the cluster."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from actorkube.cli.cluster_objects import read_objects, record
from actorkube.cli.errors import CliError
from actorkube.cli.planning import config_of, objects_of, planning

NODES_MAX = 20_000
_MANIFESTS = "it wants manifests, as for kubectl apply"
_NODES = "say a number, or a file with nodes (kubectl get nodes -o yaml)"


def command(options: argparse.Namespace) -> int:
    if options.record:
        count = record(options.record, objects_of(options))
        print(f"{count} objects in {options.record}")
        if not (options.file or options.waiting):
            return 0
    if not (options.file or options.waiting):
        raise CliError("there are no pods to place", "name manifests with -f FILE, or say --pending")
    if options.zones < 0:
        raise CliError(f"{options.zones} zones cannot be", "say 0 for none")
    root = planning()
    manifests = [obj for file in options.file for obj in read_objects(file, _MANIFESTS)]
    alone = options.nodes is not None and not (options.state or options.kubeconfig or options.context)
    outcome, notes = root.what_if(
        [] if alone else objects_of(options),
        manifests,
        namespace=options.namespace,
        nodes=_nodes(options.nodes, options, "node") if options.nodes is not None else None,
        more_nodes=_nodes(options.add_nodes, options, "added") if options.add_nodes is not None else (),
        waiting=options.waiting,
        config=Path(options.scheduler_config) if alone and options.scheduler_config else config_of(options),
        seed=options.seed,
        score_table=options.score_table,
    )
    for note in notes:
        print(f"actorkube: {note}", file=sys.stderr)
    print(
        root.as_json(outcome) if options.output == "json" else "\n".join(root.what_if_lines(outcome, options.all_nodes))
    )
    if options.picture:
        _draw(options.picture, root.what_if_picture(outcome))
    return 0


def _nodes(what: str, options: argparse.Namespace, prefix: str) -> Sequence[Any]:
    """So many, or those of a file."""
    if what.isascii() and what.isdigit():
        number = int(what)
        if not 1 <= number <= NODES_MAX:
            raise CliError(f"{number} nodes cannot be looked at", f"say a number from 1 to {NODES_MAX}")
        return planning().make_nodes(number, _size(options.node_size), options.zones, prefix)
    objects = [obj for obj in read_objects(what, _NODES) if obj["kind"] == "Node"]
    if not objects:
        raise CliError(f"there is no node in {what}", _NODES)
    planning().check_objects(objects, what)
    return objects


def _size(text: str) -> dict[str, str]:
    """`cpu=8,memory=64Gi`."""
    size = dict(part.partition("=")[::2] for part in text.split(",") if part)
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "of-that-size"}, "status": {"allocatable": size}}
    try:
        planning().check_objects([node], "--node-size")
    except CliError:
        raise CliError(f"{text!r} is no size of a node", "say such as --node-size cpu=8,memory=64Gi") from None
    return size


def _draw(file: str, picture: str) -> None:
    try:
        Path(file).expanduser().write_text(picture)
    except OSError as error:
        raise CliError(f"cannot write {file}: {error.strerror}", "name another file") from None
