"""The composition root, as the command line sees it.

`actors.cluster` imports this package's layer, so it is loaded by name: the import contract (actorkube never imports
actors) holds, and another composition can be put in its place.
"""

from __future__ import annotations

import importlib
import socket
from collections.abc import Callable, Mapping, Sequence
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


class Protection(NamedTuple):
    """What an API server guards itself and its data with, where the user wants it; files by name, "" for none.

    `audit_log_mib`: of one file of the log, of which `audit_backups` older ones are kept (0: all).
    """

    audit_policy: str = ""
    audit_log: str = ""
    audit_log_mib: int = 100
    audit_backups: int = 10
    encryption: str = ""


UNPROTECTED = Protection()


class OidcOptions(NamedTuple):
    """An OpenID Connect issuer of users' tokens: kube-apiserver's --oidc-* options, each by its name."""

    issuer_url: str
    client_id: str
    username_claim: str = "sub"
    username_prefix: str = ""
    groups_claim: str = ""
    groups_prefix: str = ""
    required_claims: tuple[str, ...] = ()
    ca_file: str = ""


class Composition(Protocol):
    def check_protection(self, protection: Protection) -> None: ...
    def cluster_hosts(self, spec: Any) -> Sequence[Host]: ...
    def joined_hosts(self, component: str, spec: Any, name: str) -> Sequence[Host]: ...
    def reserved_names(self, spec: Any) -> Callable[[str], bool]: ...
    def scheduler_elects(self, spec: Any) -> bool: ...
    def credentials(self, spec: Any) -> Credentials: ...
    def simulated(
        self,
        *,
        nodes: int,
        etcd: int,
        apiservers: int,
        node_monitor_grace_s: float,
        eviction_timeout_s: float,
        guests: Mapping[str, None],
    ) -> Any: ...
    def kubernetes_version(self, text: str) -> str: ...
    def scheduler_notes(self, path: Path) -> Sequence[str]: ...
    def user_tokens(self, path: Path) -> Mapping[str, Any]: ...
    def check_authentication(self, path: Path) -> object: ...
    def check_oidc(self, options: OidcOptions) -> object: ...
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
        more_api_listeners: tuple[socket.socket, ...] = ...,
        apiservers: int = ...,
        schedulers: int = ...,
        without: frozenset[str] = ...,
        node_monitor_grace_s: float,
        eviction_timeout_s: float,
        cluster: str = ...,
        scheduler_config: Path | None = ...,
        token_auth_file: Path | None = ...,
        oidc: OidcOptions | None = ...,
        authentication_config: Path | None = ...,
        store: ExternalStore | None = ...,
        kubernetes_version: str = ...,
        protection: Protection = ...,
    ) -> Any: ...


def composition() -> Composition:
    return cast(Composition, importlib.import_module("actors.cluster"))
