"""The join file: what a component needs that joins a cluster from outside (`actorkube run`). It is a secret.

It says where the API servers' actors listen, whom to believe there (the CA of the cluster's links), and it is an
authority for guests: its holder makes certificates for systems of its own, but for none of the cluster's.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from actorkube.cli.data import write_private
from actorkube.cli.errors import CliError
from actorkube.runtime.certificates import Issued, private_directory
from actorkube.runtime.guests import SHARED
from actorkube.runtime.identity import Identity, guest


@dataclass(frozen=True)
class Join:
    """`cluster` and `guest` are the names that stand in the certificates, `ca`, `signer` and `signer_key` are PEM,
    `more` says where further API servers are, by name; `data` is the cluster's data directory on its machine."""

    apiserver: tuple[str, int]
    octet: int
    cluster: str
    ca: str
    signer: str
    signer_key: str
    guest: str = SHARED
    elects: bool = False  # the cluster's own scheduler takes a lease: another may wait for it
    data: str = ""
    kubernetes_version: str = ""  # as in ClusterSpec: nodes that join say it of themselves
    more: Mapping[str, tuple[str, int]] = field(default_factory=dict)

    @property
    def book(self) -> dict[str, tuple[str, int]]:
        """Where the API servers listen for who joins."""
        return {"apiserver": self.apiserver, **self.more}

    def write(self, path: Path) -> None:
        write_private(path, json.dumps(asdict(self)).encode())

    @classmethod
    def read(cls, path: Path) -> Join:
        hint = "give the join.json that `actorkube cluster` keeps in its data directory"
        try:
            fields = json.loads(path.expanduser().read_bytes())
            host, port = fields["apiserver"]
            texts = {name: str(fields[name]) for name in ("cluster", "ca", "signer", "signer_key")}
            texts["guest"] = str(fields.get("guest", SHARED))
            texts |= {name: str(fields.get(name, "")) for name in ("data", "kubernetes_version")}
            elects = fields.get("elects") is True
            more = {str(name): (str(at), int(number)) for name, (at, number) in fields.get("more", {}).items()}
            octet = int(fields["octet"])
            return cls(apiserver=(str(host), int(port)), octet=octet, elects=elects, more=more, **texts)
        except OSError as error:
            raise CliError(f"cannot read {path}: {error.strerror}", hint) from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise CliError(f"{path} is not a join file", hint) from None

    def identity(self, directory: Path, system: str) -> Identity:
        """A certificate for a system of ours, and its key, made here and kept in the directory."""
        signer = Issued.at(private_directory(directory), "signer")
        write_private(signer.cert_file, self.signer.encode())
        write_private(signer.key_file, self.signer_key.encode())
        return guest(
            directory, self.cluster, system, ca_pem=self.ca.encode(), signer=signer, now=time.time(), name=self.guest
        )
