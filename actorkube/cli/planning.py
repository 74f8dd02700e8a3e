"""What `why` and `whatif` share: the actors' side, loaded by name as the composition is, and the cluster's objects."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

from actorkube.cli.access import config_files
from actorkube.cli.api import Api
from actorkube.cli.cluster_objects import list_cluster, read_objects
from actorkube.cli.data import SCHEDULER_CONFIG
from actorkube.cli.kubeconfig import data_of

STATE_HINT = "it wants what `whatif --record FILE` writes, or `kubectl get nodes,pods -A -o json`"


class Planning(Protocol):
    LIST_PATHS: Mapping[str, str]
    KINDS: Mapping[str, str]

    def why(self, objects: Sequence[Any], namespace: str, name: str, config: Path | None) -> Any: ...
    def why_lines(self, found: Any, score_table: bool) -> list[str]: ...
    def as_json(self, found: object) -> str: ...
    def check_objects(self, objects: Sequence[Any], source: str) -> None: ...
    def make_nodes(self, number: int, size: Mapping[str, str], zones: int, prefix: str = ...) -> list[Any]: ...
    def what_if(
        self,
        objects: Sequence[Any],
        manifests: Sequence[Any],
        *,
        namespace: str,
        nodes: Sequence[Any] | None,
        more_nodes: Sequence[Any],
        waiting: bool,
        config: Path | None,
        seed: int,
        score_table: bool,
    ) -> tuple[Any, list[str]]: ...
    def what_if_lines(self, outcome: Any, all_nodes: bool) -> list[str]: ...
    def what_if_picture(self, outcome: Any) -> str: ...


def planning() -> Planning:
    return cast(Planning, importlib.import_module("actors.planning"))


def objects_of(options: argparse.Namespace) -> list[Any]:
    """The cluster's objects, from where the options say. Raises CliError."""
    root = planning()
    if options.state:
        objects = read_objects(options.state, STATE_HINT)
        root.check_objects(objects, options.state)
        return objects
    with Api(options.kubeconfig, options.context) as api:
        return list_cluster(api, root.LIST_PATHS, root.KINDS)


def config_of(options: argparse.Namespace) -> Path | None:
    """The configuration of the scheduler that decides there: as given, or as our cluster was started."""
    if options.scheduler_config:
        return Path(options.scheduler_config)
    if options.state:
        return None
    data = next((data for file in config_files(options.kubeconfig) if (data := data_of(file)) is not None), None)
    noted = data / SCHEDULER_CONFIG if data is not None else None
    return Path(noted.read_text()) if noted is not None and noted.exists() else None
