"""Links over mutual TLS: who is believed, who is refused and why, and certificates that change under traffic."""

from __future__ import annotations

import asyncio
import dataclasses
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actorkube.runtime import Actor, System
from actorkube.runtime.identity import Identity, LinkAuthority, guest
from actorkube.runtime.settings import Settings
from actorkube.runtime.tcp import TcpTransport
from actorkube.runtime.tcp_link import TcpLink
from protocols.errors import NotSent, Unknown
from protocols.message import Lane, Message
from tests.runtime.links import (
    LOOPS,
    LinkCount,
    LinkNumbered,
    LinkNumbers,
    Pair,
    Remembers,
    authority,
    refused,
    run,
    until,
)

both_loops = pytest.mark.parametrize("loop", LOOPS)
QUICK = Settings(ping_s=0.02, silence_s=30.0, renew_s=0.5, handshake_s=2.0)


@both_loops
def test_systems_with_certificates_of_one_authority_talk_over_tls_1_3(loop: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        ca = authority(tmp_path)
        async with Pair() as pair:
            await pair.serve(ca.identity("server"))
            here, server = await pair.client(ca.identity("client"))

            answer = await here.ask(server, LinkNumbered(7))

            assert answer == LinkCount(7)
            assert version_of(here) == "TLSv1.3"

    run(loop, scenario())


@both_loops
def test_a_certificate_of_another_authority_is_refused_and_both_sides_know_why(loop: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        log = Remembers()
        ours, theirs = authority(tmp_path / "a").identity("server"), authority(tmp_path / "b").identity("client")
        trusting = dataclasses.replace(theirs, ca_file=ours.ca_file)
        async with Pair() as pair:
            there, _ = await pair.serve(ours, log=log)
            here, server = await pair.client(trusting)

            with pytest.raises(NotSent):
                await here.ask(server, LinkNumbered(1))

            assert refused(there) == {"unknown_ca": 1}
            assert refused(here) == {"unknown_ca": 1}
            assert log.lines[0]["label"] == "unknown_ca"

    run(loop, scenario())


@both_loops
def test_a_client_does_not_believe_a_server_of_another_authority(loop: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        ours, theirs = authority(tmp_path / "a").identity("server"), authority(tmp_path / "b").identity("client")
        async with Pair() as pair:
            there, _ = await pair.serve(ours)
            here, server = await pair.client(theirs)

            with pytest.raises(NotSent):
                await here.ask(server, LinkNumbered(1))

            assert refused(here) == {"unknown_ca": 1}
            await until(lambda: refused(there) == {"unknown_ca": 1})

    run(loop, scenario())


@both_loops
def test_an_expired_certificate_is_refused_and_both_sides_know_why(loop: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        ca = authority(tmp_path)
        client = ca.identity("client")
        ca.renew("client", valid_days=-0.01)
        async with Pair() as pair:
            there, _ = await pair.serve(ca.identity("server"))
            here, server = await pair.client(client)

            with pytest.raises(NotSent):
                await here.ask(server, LinkNumbered(1))

            assert (refused(there), refused(here)) == ({"expired": 1}, {"expired": 1})

    run(loop, scenario())


@both_loops
def test_a_system_that_shows_the_certificate_of_another_is_refused_with_a_sentence(loop: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        ca, log = authority(tmp_path), Remembers()
        async with Pair() as pair:
            there, _ = await pair.serve(ca.identity("server"))
            here, server = await pair.client(ca.identity("somebody"), name="etcd-0", log=log)

            with pytest.raises(NotSent):
                await here.ask(server, LinkNumbered(1))

            assert (refused(there), refused(here)) == ({"name": 1}, {"by_peer": 1})
            assert "etcd-0 shows the certificate of ak://c/somebody" in log.lines[0]["reason"]

    run(loop, scenario())


@both_loops
def test_a_server_that_shows_the_certificate_of_another_is_not_believed(loop: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        ca = authority(tmp_path)
        async with Pair() as pair:
            await pair.serve(ca.identity("other"))
            here, server = await pair.client(ca.identity("client"))

            with pytest.raises(NotSent):
                await here.ask(server, LinkNumbered(1))

            assert refused(here)["name"] == 1

    run(loop, scenario())


@both_loops
def test_a_stranger_without_a_certificate_is_refused(loop: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Pair() as pair:
            there, _ = await pair.serve(authority(tmp_path).identity("server"))
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

            reader, writer = await asyncio.open_connection(*pair.address, ssl=context)
            with pytest.raises(OSError):
                await reader.read()
            writer.close()

            assert refused(there) == {"no_certificate": 1}

    run(loop, scenario())


@both_loops
def test_a_stranger_who_speaks_no_tls_is_cut_off_and_one_who_says_nothing_too(loop: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Pair() as pair:
            settings = Settings(handshake_s=0.05)
            there, _ = await pair.serve(authority(tmp_path).identity("server"), settings=settings)

            _, talker = await asyncio.open_connection(*pair.address)
            talker.write(b"GET / HTTP/1.1\r\n\r\n")
            await until(lambda: refused(there) == {"tls": 1})
            _, silent = await asyncio.open_connection(*pair.address)
            await until(lambda: refused(there) == {"tls": 1, "late": 1})

            for writer in (talker, silent):
                writer.close()

    run(loop, scenario())


@both_loops
def test_a_certificate_at_two_thirds_of_its_life_is_renewed_and_nothing_is_lost(loop: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        made_at = time.time() - 250 * 86_400
        old = LinkAuthority(tmp_path, "c", made_at)
        identities = [old.identity("server"), old.identity("client")]
        before = own_certificates(tmp_path)
        quick = Settings(ping_s=0.05)
        async with Pair() as pair:
            there, _ = await pair.serve(identities[0], settings=quick)
            here, server = await pair.client(identities[1], settings=quick)

            numbers = [(await here.ask(server, LinkNumbered(number))).number for number in range(100)]
            await until(lambda: not set(own_certificates(tmp_path)) & set(before))
            await until(lambda: transport_of(here).identity is not identities[1])
            numbers += [(await here.ask(server, LinkNumbered(number))).number for number in range(100, 200)]

            assert numbers == list(range(200))
            assert not refused(there)
            assert not refused(here)

    run(loop, scenario())


def test_a_certificate_is_not_renewed_before_two_thirds_of_its_life(tmp_path: Path) -> None:
    now = time.time()
    LinkAuthority(tmp_path, "c", now).identity("server")
    made = (tmp_path / "server.crt").read_bytes()

    LinkAuthority(tmp_path, "c", now + 243 * 86_400).identity("server").renew_due(now + 243 * 86_400)
    kept = (tmp_path / "server.crt").read_bytes()
    LinkAuthority(tmp_path, "c", now + 244 * 86_400).identity("server")

    assert kept == made
    assert (tmp_path / "server.crt").read_bytes() != made


def test_a_guest_renews_its_own_certificate(tmp_path: Path) -> None:
    guest = guest_identity(tmp_path, "kubelet")
    made = guest.cert_file.read_bytes()

    guest.renew_due(time.time() + 243 * 86_400)
    kept = guest.cert_file.read_bytes()
    guest.renew_due(time.time() + 244 * 86_400)

    assert kept == made
    assert guest.cert_file.read_bytes() != made


def own_certificates(path: Path) -> list[bytes]:
    return [(path / name).read_bytes() for name in ("server.crt", "client.crt")]


# -- guests -----------------------------------------------------------------------------------------------------------


def guest_identity(path: Path, system: str, host: str = "c") -> Identity:
    ca = authority(path / "ca")
    signer = ca.guests()
    return guest(path / "guest", host, system, ca_pem=ca.ca_file.read_bytes(), signer=signer, now=time.time())


@both_loops
def test_a_guest_is_believed_by_a_name_of_its_own(loop: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Pair() as pair:
            await pair.serve(authority(tmp_path / "ca").identity("server"))
            here, server = await pair.client(guest_identity(tmp_path, "client"))

            assert await here.ask(server, LinkNumbered(1)) == LinkCount(1)

    run(loop, scenario())


class AskedBy(Actor):
    """Keeps the systems of those who asked it: "" where nobody did, which is to say the process itself."""

    def __init__(self) -> None:
        self.systems: list[str] = []

    def receive(self, message: Message) -> object:
        self.systems.append(self.ctx.sender.address.system if self.ctx.sender is not None else "")
        return self.answers() if isinstance(message, LinkNumbers) else LinkCount(0)

    async def answers(self) -> AsyncIterator[LinkCount]:
        yield LinkCount(0)


@both_loops
def test_what_a_guest_says_without_an_actor_is_not_taken_for_the_clusters_own(loop: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Pair() as pair:
            ca = authority(tmp_path / "ca")
            there, _ = await pair.serve(ca.identity("server"))
            there.spawn(AskedBy, "asked-by")
            asked_by = there.actor("asked-by")
            assert isinstance(asked_by, AskedBy)
            for name, identity in (("own", ca.identity("own")), ("guest", guest_identity(tmp_path, "guest"))):
                here, _ = await pair.client(identity, name=name)
                ref = here.ref("server/asked-by")

                await here.ask(ref, LinkNumbered(1))
                await here.send(ref, LinkNumbered(1))
                async with here.stream(ref, LinkNumbers()) as numbers:
                    async for _number in numbers:
                        break
                here.tell(ref, LinkCount(0))
                await here.ask(ref, LinkNumbered(1))

            assert asked_by.systems == 5 * [""] + 5 * ["guest"]

    run(loop, scenario())


@both_loops
@pytest.mark.parametrize("endpoint", ["/a/socket", ("127.0.0.1", 1)])
def test_a_guest_cannot_be_one_of_the_clusters_own(loop: str, endpoint: object, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Pair() as pair:
            there, _ = await pair.serve(authority(tmp_path / "ca").identity("server"), book={"etcd-0": endpoint})
            here, server = await pair.client(guest_identity(tmp_path, "etcd-0"), name="etcd-0")

            with pytest.raises(NotSent):
                await here.ask(server, LinkNumbered(1))

            assert refused(there) == {"place": 1}

    run(loop, scenario())


@both_loops
def test_a_guest_has_no_name_that_is_reserved_and_one_of_the_clusters_own_may(loop: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Pair() as pair:
            ca = authority(tmp_path / "ca")
            there, _ = await pair.serve(ca.identity("server"), reserved=("chief",))
            guest, server = await pair.client(guest_identity(tmp_path, "chief"), name="chief")
            with pytest.raises(NotSent):
                await guest.ask(server, LinkNumbered(1))
            assert refused(there) == {"place": 1}
            own, server = await pair.client(ca.identity("chief"), name="chief")
            assert await own.ask(server, LinkNumbered(1)) == LinkCount(1)

    run(loop, scenario())


@both_loops
def test_where_others_listen_is_believed_of_the_clusters_own_and_not_of_a_guest(loop: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Pair() as pair:
            ca = authority(tmp_path / "ca")
            there, _ = await pair.serve(ca.identity("server"))
            transport = there.transport
            for name, identity in (("own", ca.identity("own")), ("guest", guest_identity(tmp_path, "guest"))):
                here, server = await pair.client(identity, name=name)
                assert await here.ask(server, LinkNumbered(1)) == LinkCount(1)

            transport.learn("x", ("127.0.0.1", 1), "guest")
            transport.learn("x", ("127.0.0.1", 1), "who never called")
            transport.learn("x", ("/a/path", 0), "own")  # it called over the network
            assert "x" not in transport.peers()
            transport.learn("x", ("127.0.0.1", 1), "own")

            assert transport.addresses() == {"server": pair.address, "x": ("127.0.0.1", 1)}
            transport.unlearn("x")
            assert transport.peers() == []

    run(loop, scenario())


@both_loops
def test_who_does_not_connect_to_all_learns_of_nobody(loop: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Pair() as pair:
            there, _ = await pair.serve(None, settings=Settings(connect_all=False))
            here, server = await pair.client(None)
            assert await here.ask(server, LinkNumbered(1)) == LinkCount(1)

            there.transport.learn("x", ("127.0.0.1", 1), "client")

            assert there.transport.peers() == []

    run(loop, scenario())


@both_loops
def test_the_guests_authority_cannot_sign_for_the_cluster(loop: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        from actorkube.runtime.certificates import CertificateAuthority, Issued
        from actorkube.runtime.identity import certificate_of

        ca = authority(tmp_path)
        signer, forged = ca.guests(), Issued.at(tmp_path, "forged")
        CertificateAuthority(signer, time.time()).issue(forged, certificate_of("c", "client", chain=signer.cert_pem))
        async with Pair() as pair:
            there, _ = await pair.serve(ca.identity("server"))
            here, server = await pair.client(Identity("c", ca.ca_file, forged.cert_file, forged.key_file))

            with pytest.raises(NotSent):
                await here.ask(server, LinkNumbered(1))

            assert refused(there) == {"name": 1}

    run(loop, scenario())


# -- certificates that change -----------------------------------------------------------------------------------------


@both_loops
def test_certificates_change_while_messages_flow_and_none_is_lost_or_doubled_or_overtaken(
    loop: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        ca = authority(tmp_path)
        async with Pair() as pair:
            there, actor = await pair.serve(ca.identity("server"))
            here, server = await pair.client(ca.identity("client"))
            sent, read, done = 0, list[int](), False

            async def talk() -> None:
                nonlocal sent
                while not done:
                    here.tell(server, LinkCount(sent))
                    assert await here.ask(server, LinkNumbered(sent), timeout_s=20) == LinkCount(sent)
                    sent += 1

            async def listen() -> None:
                async with here.stream(server, LinkNumbers(), window=8) as numbers:
                    async for number in numbers:
                        read.append(number.number)
                        if done:
                            return

            tasks = [asyncio.ensure_future(talk()), asyncio.ensure_future(listen())]
            await here.ask(server, LinkNumbered(-1))
            serials = set()
            for change in range(8):
                ca.renew("server" if change % 2 else "client")
                system, name = (there, "server") if change % 2 else (here, "client")
                transport_of(system).renew(ca.identity(name))
                await until(lambda known=frozenset(serials): not set(serials_of(here, there)) <= known)
                serials |= set(serials_of(here, there))
                before = sent
                await until(lambda before=before: sent > before + 5)
            done = True
            await asyncio.gather(*tasks)

            await until(lambda: one_connection(here) and one_connection(there))
            assert actor.told == list(range(sent))
            assert [n for n in actor.asked if n >= 0] == list(range(sent))
            assert read == list(range(len(read)))
            assert len(serials) >= 8
            assert (refused(here), refused(there)) == ({}, {})

    run(loop, scenario())


@both_loops
def test_much_that_waits_to_be_written_goes_over_to_the_new_connection_in_order(loop: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        ca = authority(tmp_path)
        async with Pair() as pair:
            _, actor = await pair.serve(ca.identity("server"))
            here, server = await pair.client(ca.identity("client"))
            await here.ask(server, LinkNumbered(0))

            for number in range(900):
                if number in (300, 600):
                    ca.renew("client")
                    transport_of(here).renew(ca.identity("client"))
                here.tell(server, LinkCount(number))
                if number % 30 == 0:
                    await asyncio.sleep(0)
            await until(lambda: len(actor.told) == 900)

            assert actor.told == list(range(900))

    run(loop, scenario())


@both_loops
def test_what_is_still_under_way_on_the_old_connection_is_read_before_what_the_new_one_brings(
    loop: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        ca = authority(tmp_path)
        async with Pair() as pair:
            there, actor = await pair.serve(ca.identity("server"))
            here, server = await pair.client(ca.identity("client"))
            await here.ask(server, LinkNumbered(0))
            (old,) = transport_of(there)._connections
            assert old.socket is not None

            old.socket.pause_reading()
            for number in range(10):
                here.tell(server, LinkCount(number))
            ca.renew("client")
            transport_of(here).renew(ca.identity("client"))
            await until(lambda: len(serials_of(there)) == 2)
            for number in range(10, 20):
                here.tell(server, LinkCount(number))
            for _ in range(100):
                await asyncio.sleep(0)
            early = list(actor.told)
            old.socket.resume_reading()
            await until(lambda: len(actor.told) == 20)

            assert early == [] and actor.told == list(range(20))

    run(loop, scenario())


@both_loops
def test_certificates_that_are_replaced_on_disk_are_gone_over_to(loop: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        ca = authority(tmp_path)
        async with Pair() as pair:
            there, _ = await pair.serve(ca.identity("server"), settings=QUICK)
            here, server = await pair.client(ca.identity("client"), settings=QUICK)
            await here.ask(server, LinkNumbered(0))
            (old,) = serials_of(here)

            ca.renew("server")
            await until(lambda: len(serials_of(here)) == 1 and serials_of(here) != [old])

            assert await here.ask(server, LinkNumbered(1)) == LinkCount(1)
            assert (refused(here), refused(there)) == ({}, {})

    run(loop, scenario())


@both_loops
def test_a_peer_whose_certificate_is_revoked_is_cut_off_at_once(loop: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        ca = authority(tmp_path)
        async with Pair() as pair:
            there, _ = await pair.serve(ca.identity("server"))
            here, server = await pair.client(ca.identity("client"))
            await here.ask(server, LinkNumbered(0))
            (serial,) = serials_of(there)

            transport_of(there).renew(dataclasses.replace(ca.identity("server"), revoked=frozenset([serial])))
            await until(lambda: not transport_of(here)._all)
            with pytest.raises(NotSent):
                await here.ask(server, LinkNumbered(1))

            assert refused(there) == {"revoked": 2}

    run(loop, scenario())


@both_loops
def test_a_peer_that_has_no_place_under_the_new_authority_is_let_go_of_in_time(loop: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        old, new = authority(tmp_path / "old"), authority(tmp_path / "new")
        async with Pair() as pair:
            there, _ = await pair.serve(old.identity("server"), settings=QUICK)
            here, server = await pair.client(old.identity("client"), settings=QUICK)
            await here.ask(server, LinkNumbered(0))

            transport_of(there).renew(new.identity("server"))
            await until(lambda: "not_renewed" in {**refused(there), **refused(here)})  # by whoever looks first
            with pytest.raises((NotSent, Unknown)):
                await here.ask(server, LinkNumbered(1))

            await until(lambda: refused(there).get("unknown_ca", 0) >= 1)

    run(loop, scenario())


@both_loops
def test_a_link_does_not_outlive_the_certificate_of_its_peer(loop: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        ca = authority(tmp_path)
        in_20_years = time.time() - asyncio.get_running_loop().time() + 20 * 365 * 86400
        async with Pair() as pair:
            there, _ = await pair.serve(ca.identity("server"), settings=QUICK, epoch=in_20_years)
            here, server = await pair.client(ca.identity("client"))
            await here.ask(server, LinkNumbered(0))

            await until(lambda: refused(there).get("expired") == 1)  # a successor may be under way: refused, too

            await until(lambda: not transport_of(here)._all)

    run(loop, scenario())


def transport_of(system: System) -> TcpTransport:
    assert isinstance(system.transport, TcpTransport)
    return system.transport


def links_of(system: System) -> list[TcpLink]:
    return list(transport_of(system)._all)


def serials_of(*systems: System) -> list[str]:
    return [serial for system in systems for link in links_of(system) for serial in link.serials]


def one_connection(system: System) -> bool:
    return all(len(link.serials) == 1 for link in links_of(system))


def version_of(system: System) -> str:
    link = transport_of(system).link("server", Lane.BULK)
    assert isinstance(link, TcpLink)
    (connection,) = link._reading
    assert connection.tls is not None
    return str(connection.tls.version)
