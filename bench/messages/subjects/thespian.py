"""Thespian: a process per actor, joined over TCP, pickled messages; an actor does the asking."""

from __future__ import annotations

import socket
import sys
import time
from typing import Any

from bench.messages.payloads import PAYLOADS
from bench.messages.subject import NotOffered, Subject, serve

try:
    from thespian.actors import Actor, ActorExitRequest, ActorSystem
except ImportError:
    sys.exit("missing: pip install thespian")

PROCESSES_MAX = 10  # an actor is a process


class Mirror(Actor):  # type: ignore[misc]
    def receiveMessage(self, message: Any, sender: Any) -> None:
        if isinstance(message, tuple) and message[0] == "ask":
            self.send(sender, message[1:])


class Driver(Actor):  # type: ignore[misc]
    """Does the asking: (what, mirror, data, depth, seconds) in, a rate out."""

    def receiveMessage(self, message: Any, sender: Any) -> None:
        if isinstance(message, tuple) and message[0] in ("asks", "tells"):
            what, self.mirror, self.data, depth, seconds = message
            self.customer, self.count, self.begin = sender, 0, time.perf_counter()
            self.end = self.begin + seconds
            if what == "asks":
                self.waiting = depth
                for _ in range(depth):
                    self.send(self.mirror, ("ask", self.data))
                return
            self.waiting = 1
            while time.perf_counter() < self.end:
                self.send(self.mirror, ("tell", self.data))
                self.count += 1
            self.send(self.mirror, ("ask", b""))
        elif isinstance(message, tuple):
            self.count += 1
            if time.perf_counter() < self.end:
                self.send(self.mirror, ("ask", self.data))
                return
            self.waiting -= 1
            if not self.waiting:
                self.send(self.customer, self.count / (time.perf_counter() - self.begin))


class Thespian(Subject):
    def __init__(self) -> None:
        super().__init__()
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.system = ActorSystem("multiprocTCPBase", {"Admin Port": port, "Admin Address": "127.0.0.1"})

    async def start(self) -> None:
        self.mirror = self.system.createActor(Mirror)
        self.driver = self.system.createActor(Driver)

    async def stop(self) -> None:
        self.system.shutdown()

    async def ask(self, where: str, depth: int, payload: str, seconds: float) -> float:
        return self._drive("asks", where, payload, depth, seconds)

    async def tell(self, where: str, payload: str, seconds: float) -> float:
        return self._drive("tells", where, payload, 1, min(seconds, 0.1))  # what is sent must be drained, slowly

    def _drive(self, what: str, where: str, payload: str, depth: int, seconds: float) -> float:
        if where != "tcp":
            raise NotOffered
        rate = self.system.ask(self.driver, (what, self.mirror, PAYLOADS[payload], depth, seconds), 20)
        if not isinstance(rate, float):
            raise NotOffered
        return rate

    async def spawn(self, actors: int) -> float:
        begin = time.perf_counter()
        spawned = [self.system.createActor(Mirror) for _ in range(min(actors, PROCESSES_MAX))]
        for mirror in spawned:
            self.system.ask(mirror, ("ask", b""), 10)
        rate = len(spawned) / (time.perf_counter() - begin)
        for mirror in spawned:
            self.system.tell(mirror, ActorExitRequest())
        return rate


if __name__ == "__main__":
    serve(Thespian())
