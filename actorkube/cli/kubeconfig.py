"""The kubeconfig that lets kubectl talk to the cluster. `~/.kube/config` is never touched unless asked for by name."""

from __future__ import annotations

import base64
from pathlib import Path

from actorkube.cli.data import write_private
from actorkube.cli.errors import CliError

DEFAULT = Path("~/.actorkube/kubeconfig")
NAME = "actorkube"


def write_kubeconfig(path: Path, *, server: str, ca_pem: bytes, cert_pem: bytes, key_pem: bytes) -> None:
    text = kubeconfig(server, ca_pem, cert_pem, key_pem)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(path, text.encode())
    except OSError as error:
        raise CliError(f"cannot write {path}: {error.strerror}", "choose another file with --kubeconfig") from None


def kubeconfig(server: str, ca_pem: bytes, cert_pem: bytes, key_pem: bytes) -> str:
    """Written as text: importing yaml would be a good part of the time that the command takes to its first fork."""
    return f"""\
apiVersion: v1
kind: Config
clusters:
- name: {NAME}
  cluster:
    server: {server}
    certificate-authority-data: {_base64(ca_pem)}
users:
- name: {NAME}
  user:
    client-certificate-data: {_base64(cert_pem)}
    client-key-data: {_base64(key_pem)}
contexts:
- name: {NAME}
  context:
    cluster: {NAME}
    user: {NAME}
current-context: {NAME}
"""


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
