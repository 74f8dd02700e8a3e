"""The composition root, as the command line sees it.

`actors.cluster` imports this package's layer, so it is loaded by name: the import contract (actorkube never imports
actors) holds, and another composition can be put in its place.
"""

from __future__ import annotations

import importlib
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

from actorkube.runtime.host import Host
from actorkube.runtime.system import System


class Credentials(NamedTuple):
    """What a kubeconfig needs."""

    ca_pem: bytes
    cert_pem: bytes
    key_pem: bytes


class ExternalStore(NamedTuple):
    """A real etcd that keeps the cluster's objects: `url` is etcd://HOST:PORT[,...] or etcds://...; files."""

    url: str
    ca: str = ""
    certificate: str = ""
    key: str = ""


class Composition(Protocol):
    def cluster_hosts(self, spec: Any) -> Sequence[Host]: ...
    def joined_hosts(self, component: str, spec: Any, name: str) -> Sequence[Host]: ...
    def credentials(self, spec: Any) -> Credentials: ...
    def simulated(
        self,
        *,
        nodes: int,
        etcd: int,
        node_monitor_grace_s: float,
        eviction_timeout_s: float,
        guests: Mapping[str, None],
    ) -> Any: ...
    def scheduler_profiles(self, path: Path) -> Sequence[Any]: ...
    def find_store(self, store: ExternalStore) -> str: ...
    def api_resources(self) -> Sequence[Any]: ...
    def store_hosts(
        self, listeners: Sequence[socket.socket], certificate: tuple[str, str] | None, client_ca: str
    ) -> Sequence[Host]: ...
    async def open_door(
        self,
        system: System,
        member: str,
        begun_with: int,
        listener: socket.socket,
        urls: Mapping[str, str],
        certificate: tuple[str, str] | None,
        client_ca: str,
    ) -> None: ...
    def scenarios(self) -> dict[str, str]: ...
    def ClusterSpec(
        self,
        *,
        data: Path,
        nodes: int,
        etcd: int,
        octet: int,
        runtime: str,
        api_address: tuple[str, int],
        api_listener: socket.socket | None,
        node_monitor_grace_s: float,
        eviction_timeout_s: float,
        cluster: str = ...,
        scheduler_config: Path | None = ...,
        store: ExternalStore | None = ...,
    ) -> Any: ...


def composition() -> Composition:
    return cast(Composition, importlib.import_module("actors.cluster"))
