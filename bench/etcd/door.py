"""Our replica set as etcd's clients see it: the same client and the same calls as for etcd, over the gRPC door."""

from __future__ import annotations

import json
import subprocess
import sys

from bench.etcd import theirs
from bench.etcd.subject import log_file


class ActorKubeDoor(theirs.Etcd):
    name = "ActorKube, gRPC"

    def start_member(self, member: str) -> None:
        book = {name: ("127.0.0.1", port) for name, port in self._peers.items()}
        place = [member, json.dumps(book), str(self._path), str(self._clients[member])]
        with log_file(self._path, member).open("ab") as log:
            self.processes[member] = subprocess.Popen(
                [sys.executable, "-m", "bench.etcd.member", *place], stdout=log, stderr=log
            )
