"""The join file: what a component needs that joins a cluster from outside (`actorkube run`). It is a secret.

It says where the API server's actors listen, whom to believe there (the CA of the cluster's links), and it is an
authority for guests: its holder makes certificates for systems of its own, but for none of the cluster's.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from actorkube.cli.data import write_private
from actorkube.cli.errors import CliError
from actorkube.runtime.certificates import Issued, private_directory
from actorkube.runtime.identity import Identity, guest


@dataclass(frozen=True)
class Join:
    """`cluster` is the name that stands in the certificates, `ca`, `signer` and `signer_key` are PEM."""

    apiserver: tuple[str, int]
    octet: int
    cluster: str
    ca: str
    signer: str
    signer_key: str

    def write(self, path: Path) -> None:
        write_private(path, json.dumps(asdict(self)).encode())

    @classmethod
    def read(cls, path: Path) -> Join:
        hint = "give the join.json that `actorkube cluster` keeps in its data directory"
        try:
            fields = json.loads(path.expanduser().read_bytes())
            host, port = fields["apiserver"]
            texts = {name: str(fields[name]) for name in ("cluster", "ca", "signer", "signer_key")}
            return cls(apiserver=(str(host), int(port)), octet=int(fields["octet"]), **texts)
        except OSError as error:
            raise CliError(f"cannot read {path}: {error.strerror}", hint) from None
        except (ValueError, KeyError, TypeError):
            raise CliError(f"{path} is not a join file", hint) from None

    def identity(self, directory: Path, system: str) -> Identity:
        """A certificate for a system of ours, and its key, made here and kept in the directory."""
        signer = Issued.at(private_directory(directory), "signer")
        write_private(signer.cert_file, self.signer.encode())
        write_private(signer.key_file, self.signer_key.encode())
        return guest(directory, self.cluster, system, ca_pem=self.ca.encode(), signer=signer, now=time.time())
