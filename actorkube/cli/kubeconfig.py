"""The kubeconfig that lets kubectl talk to the cluster. `~/.kube/config` is never touched unless asked for by name."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path

from actorkube.cli.data import write_private
from actorkube.cli.errors import CliError

DEFAULT = Path("~/.actorkube/kubeconfig")
NAME = "actorkube"


def write_kubeconfig(
    path: Path, *, servers: Sequence[str], data: Path, ca_pem: bytes, cert_pem: bytes, key_pem: bytes
) -> None:
    """`servers`: the address of each API server; a context for each, the first one's is the current one.

    `data`: the cluster's data directory, where `data_of` finds it for commands that want that cluster.
    """
    text = kubeconfig(servers, data, ca_pem, cert_pem, key_pem)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(path, text.encode())
    except OSError as error:
        raise CliError(f"cannot write {path}: {error.strerror}", "choose another file with --kubeconfig") from None


def kubeconfig(servers: Sequence[str], data: Path, ca_pem: bytes, cert_pem: bytes, key_pem: bytes) -> str:
    """Written as text: importing yaml would be a good part of the time that the command takes to its first fork."""
    names = [NAME if number == 1 else f"{NAME}-{number}" for number in range(1, len(servers) + 1)]
    clusters = [_cluster(name, server, data, ca_pem) for name, server in zip(names, servers, strict=True)]
    contexts = [f"- name: {name}\n  context:\n    cluster: {name}\n    user: {NAME}\n" for name in names]
    return f"""\
apiVersion: v1
kind: Config
clusters:
{"".join(clusters)}users:
- name: {NAME}
  user:
    client-certificate-data: {_base64(cert_pem)}
    client-key-data: {_base64(key_pem)}
contexts:
{"".join(contexts)}current-context: {NAME}
"""


def _cluster(name: str, server: str, data: Path, ca_pem: bytes) -> str:
    return f"""\
- name: {name}
  cluster:
    server: {server}
    certificate-authority-data: {_base64(ca_pem)}
    extensions:
    - name: {NAME}
      extension: {{"data": {json.dumps(str(data.absolute()))}}}
"""


def data_of(path: Path) -> Path | None:
    """The data directory of the cluster that kubectl would talk to with this file; None if it is not one of ours."""
    import yaml

    try:
        config = yaml.safe_load(path.read_bytes())
        context = {entry["name"]: entry["context"] for entry in config["contexts"]}[config["current-context"]]
        cluster = {entry["name"]: entry["cluster"] for entry in config["clusters"]}[context["cluster"]]
        extensions = {entry["name"]: entry["extension"] for entry in cluster["extensions"]}
        return Path(extensions[NAME]["data"])
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return None


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
