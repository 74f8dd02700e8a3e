"""Worlds of real time and real disks: hosts are systems of this process, joined in memory or over TCP on loopback."""

from __future__ import annotations

import abc
import asyncio
import inspect
import socket
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from actorkube.cli.sockets import Sockets
from actorkube.runtime.host import Host, Hosts
from actorkube.runtime.identity import Identity, LinkAuthority
from actorkube.runtime.link import Transport
from actorkube.runtime.local import LocalNetwork
from actorkube.runtime.log import Quiet
from actorkube.runtime.refusals import Reason, Refused
from actorkube.runtime.system import System
from actorkube.runtime.tcp import Endpoint, TcpTransport
from actorkube.runtime.tcp_link import TcpLink
from actorkube.sim.errors import NotConverged

T = TypeVar("T")
Boot = Callable[[System], Awaitable[Any] | None]
LOOK_EVERY_S = 0.005


@dataclass
class RealHost:
    name: str
    boot: Boot
    knows: Collection[str] | None = None
    lives: int = 0
    system: System | None = None
    ending: list[asyncio.Task[None]] = field(default_factory=list)


class RealWorld(abc.ABC):
    def __init__(self, path: Path, seed: int = 0) -> None:
        self.path = path
        self.seed = seed
        self.hosts: Hosts[RealHost] = Hosts()
        self.follow_rate = 0.0
        self._cuts: frozenset[tuple[str, str]] = frozenset()  # who is not heard by whom

    @abc.abstractmethod
    def transport(self, name: str) -> Transport:
        """A transport for the next life of a host."""

    @abc.abstractmethod
    def listen(self, name: str, listens: bool) -> None:
        """From now on the host can be dialled, up or not, if it listens."""

    def run(self, scenario: Callable[[Any], Coroutine[Any, Any, T]], for_s: float = 60.0) -> T:
        async def main() -> T:
            try:
                async with asyncio.timeout(for_s):
                    return await scenario(self)
            finally:
                for name in reversed(list(self.hosts)):
                    await self.stop(name)
                self.close()

        return asyncio.run(main())

    def close(self) -> None:
        return

    # -- hosts ----------------------------------------------------------------------------------------------------

    async def boot(
        self, name: str, boot: Boot | None = None, *, listens: bool = True, knows: Collection[str] | None = None
    ) -> System:
        self.hosts.take(name)
        self.hosts[name] = RealHost(name, boot or (lambda system: None), knows)
        self.listen(name, listens)
        return await self.restart(name)

    async def boot_all(self, hosts: Sequence[Host]) -> None:
        for host in hosts:
            self.listen(host.name, host.listens)
        await asyncio.gather(*(self.boot(host.name, host.boot, listens=host.listens) for host in hosts))

    async def restart(self, name: str) -> System:
        host = self.hosts[name]
        await asyncio.gather(*host.ending)
        if host.system is None:
            host.lives += 1
            seed = f"{self.seed}/{name}/{host.lives}"
            system = System(name, self.transport(name), seed=seed, disk=self.path / name, log=Quiet())
            system.follow(self.follow_rate)
            await system.start()
            host.system = system
            booting = host.boot(system)
            if inspect.isawaitable(booting):
                await booting
        return host.system

    def system(self, name: str) -> System:
        system = self.hosts[name].system
        if system is None:
            raise KeyError(f"host {name} is down")
        return system

    def follow(self, rate: float = 1.0) -> None:
        self.follow_rate = rate
        for host in self.hosts.values():
            if host.system is not None:
                host.system.follow(rate)

    def is_up(self, name: str) -> bool:
        return self.hosts[name].system is not None

    def crash(self, name: str) -> None:
        host = self.hosts[name]
        if host.system is not None:
            host.ending.append(asyncio.ensure_future(host.system.abort()))
            host.system = None

    async def stop(self, name: str, drain_s: float = 0.0) -> None:
        host = self.hosts[name]
        await asyncio.gather(*host.ending)
        system, host.system = host.system, None
        if system is not None:
            await system.stop(drain_s)

    def partition(self, one: Collection[str], other: Collection[str], *, both_ways: bool = True) -> None:
        """Links end at once, on both sides, and none is made until it is healed."""
        cuts = {(src, dst) for src in one for dst in other}
        self._cuts |= cuts | ({(dst, src) for src, dst in cuts} if both_ways else set())
        self.cut()

    def heal(self) -> None:
        self._cuts = frozenset()
        self.cut()

    @abc.abstractmethod
    def cut(self) -> None:
        """The partitions have changed."""

    # -- time -----------------------------------------------------------------------------------------------------

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def until(self, check: Callable[[], object], within_s: float = 30.0) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + within_s
        while not await _outcome(check):
            if loop.time() >= end:
                raise NotConverged(f"not true after {within_s} s")
            await asyncio.sleep(LOOK_EVERY_S)

    async def converges(self, check: Callable[[], object], within_s: float = 60.0, stays_s: float = 0.2) -> None:
        await self.until(check, within_s)
        end = asyncio.get_running_loop().time() + stays_s
        while asyncio.get_running_loop().time() < end:
            await asyncio.sleep(LOOK_EVERY_S)
            if not await _outcome(check):
                raise NotConverged("was true, but did not stay so")


class LocalWorld(RealWorld):
    """All hosts in one process, joined by LocalNetwork."""

    def __init__(self, path: Path, seed: int = 0) -> None:
        super().__init__(path, seed)
        self._network = LocalNetwork()

    def transport(self, name: str) -> Transport:
        return self._network.transport(self.hosts[name].knows)

    def listen(self, name: str, listens: bool) -> None:
        return  # hosts of one process always find each other

    def cut(self) -> None:
        self._network.cut(self._cuts)


class TcpWorld(RealWorld):
    """All hosts in one process, joined by real sockets on loopback; a host keeps its port through its lives."""

    def __init__(self, path: Path, seed: int = 0) -> None:
        super().__init__(path, seed)
        self._listeners: dict[str, socket.socket] = {}
        self._book: dict[str, Endpoint] = {}
        self._transports: dict[str, TcpTransport] = {}

    def bind(self, name: str) -> socket.socket:
        return socket.create_server(("127.0.0.1", 0))

    def identity(self, name: str) -> Identity | None:
        """The certificates that a host shows; None: no TLS."""
        return None

    def listen(self, name: str, listens: bool) -> None:
        if listens and name not in self._listeners:
            listener = self._listeners[name] = self.bind(name)
            self._book[name] = listener.getsockname()
            for other, transport in self._transports.items():
                if self._knows(other, name):
                    transport.book[name] = self._book[name]

    def transport(self, name: str) -> Transport:
        listener = self._listeners.get(name)
        listen = (listener.dup(),) if listener is not None else ()
        others = {other: address for other, address in self._book.items() if self._knows(name, other)}
        transport = TcpTransport(key=b"testing", book=others, listen=listen, identity=self.identity(name))
        self._transports[name] = transport
        transport.cut(self._unheard_by(name))
        return transport

    def cut(self) -> None:
        for name, transport in self._transports.items():
            unheard = self._unheard_by(name)
            transport.cut(unheard)
            for link in transport.census().links:
                if link.peer in unheard and isinstance(link, TcpLink):
                    link.fail(Refused(Reason.CUT, f"{link.peer} is cut off from {name}"))

    def _unheard_by(self, name: str) -> list[str]:
        return sorted(src for src, dst in self._cuts if dst == name)

    def _knows(self, name: str, other: str) -> bool:
        knows = self.hosts[name].knows
        return name != other and (knows is None or other in knows)

    def close(self) -> None:
        for listener in self._listeners.values():
            listener.close()


class UnixWorld(TcpWorld):
    """As over TCP, but on unix sockets."""

    def __init__(self, path: Path, seed: int = 0) -> None:
        super().__init__(path, seed)
        self._sockets = Sockets(path)

    def bind(self, name: str) -> socket.socket:
        return self._sockets.listen(name)

    def close(self) -> None:
        super().close()
        self._sockets.close()


class TlsWorld(TcpWorld):
    """As over TCP, under mutual TLS; each host has a certificate of its own."""

    def __init__(self, path: Path, seed: int = 0) -> None:
        super().__init__(path, seed)
        self._authority = LinkAuthority(path / "pki", "testing", time.time())

    def identity(self, name: str) -> Identity:
        return self._authority.identity(name)

    def renew(self) -> None:
        """New certificates for all hosts: every link goes over to a new connection, and no message is lost."""
        for name, transport in self._transports.items():
            self._authority.renew(name)
            if self.is_up(name):
                transport.renew(self.identity(name))


async def _outcome(check: Callable[[], object]) -> object:
    outcome = check()
    return await outcome if inspect.isawaitable(outcome) else outcome
