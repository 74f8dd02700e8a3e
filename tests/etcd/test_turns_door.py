"""Locks and elections at the door, called with grpcio; and the same of a real etcd, where it is installed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from actors.etcd.grpc.messages import message
from tests.etcd.grpc_client import calling, housed
from tests.etcd.real_etcd import needs_etcd, real_etcd
from tests.etcd.served import certificate
from tests.etcd.test_auth_door import enabled
from tests.etcd.test_web_door import Web, b64

UNKNOWN = grpc.StatusCode.UNKNOWN
NO_LEASE = (UNKNOWN, "etcdserver: requested lease not found")
NO_KEY = (UNKNOWN, "etcdserver: key is not provided")
NO_LEADER_FIELD = (UNKNOWN, '"leader" field must be provided')
NOT_LEADER = (UNKNOWN, "election: not leader")


class Store:
    """A client that calls anything by its path: `Lock/Lock`, `KV/Range`."""

    PACKAGES = {"Lock": "v3lockpb", "Election": "v3electionpb"}

    def __init__(self, channel: grpc.aio.Channel, port: int) -> None:
        self.channel = channel
        self.port = port

    def call(self, path: str, timeout: float | None = 20.0, /, *, token: str = "", **fields: Any) -> Any:
        method = self._method(self.channel.unary_unary, path)
        metadata = (("token", token),) if token else None
        return method(self.request(path, **fields), timeout=timeout, metadata=metadata)

    def stream(self, path: str, /, **fields: Any) -> Any:
        return self._method(self.channel.unary_stream, path, "Leader")(self.request(path, "Leader", **fields))

    def request(self, path: str, stem: str = "", /, **fields: Any) -> Any:
        package, name = self._name(path, stem)
        return message(f"{package}.{name}Request")(**fields)

    def _method(self, kind: Callable[..., Any], path: str, stem: str = "") -> Any:
        package, name = self._name(path, stem)
        response = message(f"{package}.{name}Response")
        return kind(f"/{package}.{path}", lambda asked: asked.SerializeToString(), response.FromString)

    def _name(self, path: str, stem: str) -> tuple[str, str]:
        service, _, method = path.partition("/")
        return self.PACKAGES.get(service, "etcdserverpb"), stem or method

    async def refusal(self, path: str, timeout: float = 20.0, /, **fields: Any) -> tuple[grpc.StatusCode, str]:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await self.call(path, timeout, **fields)
        return failed.value.code(), failed.value.details()

    async def lease(self) -> int:
        return (await self.call("Lease/LeaseGrant", TTL=600)).ID

    async def keys(self, name: bytes) -> list[bytes]:
        """In the order in which they came."""
        found = await self.call("KV/Range", key=name + b"/", range_end=name + b"0", sort_target=2)
        return [kv.key for kv in found.kvs]

    async def until_there_are(self, count: int, name: bytes) -> list[bytes]:
        while len(keys := await self.keys(name)) != count:
            await asyncio.sleep(0.005)
        return keys


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncIterator[Store]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Store(channel, port)


@pytest.fixture(scope="module")
def real_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with real_etcd(tmp_path_factory.mktemp("etcd")) as etcd:
        yield int(etcd.url.rpartition(":")[2])


@pytest.fixture(params=["ours", pytest.param("etcd", marks=[needs_etcd, pytest.mark.cluster])])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with contextlib.AsyncExitStack() as stack:
        if request.param == "ours":
            port = (await stack.enter_async_context(housed(tmp_path))).port
        else:
            port = request.getfixturevalue("real_port")
        yield await stack.enter_async_context(connected(port))


@pytest.fixture
def name(request: pytest.FixtureRequest) -> bytes:
    """Of a lock or an election that no other test has."""
    return request.node.name.encode()


async def waiting(store: Store, name: bytes, behind: int, lease: int = 0) -> asyncio.Future[Any]:
    """A call for the lock that has its place in the line."""
    call = asyncio.ensure_future(store.call("Lock/Lock", None, name=name, lease=lease))
    await store.until_there_are(behind + 1, name)
    return call


# -- locks ------------------------------------------------------------------------------------------------------------


async def test_a_lock_is_a_key_named_after_the_lease_and_goes_to_who_asked_next(store: Store, name: bytes) -> None:
    leases = [await store.lease() for _ in range(3)]
    first = await store.call("Lock/Lock", name=name, lease=leases[0])
    second = await waiting(store, name, 1, leases[1])
    third = await waiting(store, name, 2, leases[2])

    unlocked = await store.call("Lock/Unlock", key=first.key)
    held = await second
    left = await store.keys(name)

    assert [first.key, held.key] == [name + f"/{lease:x}".encode() for lease in leases[:2]]
    assert left == [held.key, name + f"/{leases[2]:x}".encode()]
    assert not third.done()
    assert held.header.revision >= unlocked.header.revision > first.header.revision
    await store.call("Lock/Unlock", key=held.key)
    await third


async def test_who_has_the_lock_already_has_it_at_once(store: Store, name: bytes) -> None:
    lease = await store.lease()

    first = await store.call("Lock/Lock", name=name, lease=lease)
    again = await store.call("Lock/Lock", name=name, lease=lease)

    assert again == first


async def test_who_names_no_lease_has_one_of_a_minute(store: Store, name: bytes) -> None:
    held = await store.call("Lock/Lock", name=name)

    [kv] = (await store.call("KV/Range", key=held.key)).kvs
    left = await store.call("Lease/LeaseTimeToLive", ID=kv.lease)

    assert held.key == name + f"/{kv.lease:x}".encode()
    assert (left.grantedTTL, kv.value) == (60, b"")
    assert kv.lease > 1 << 32, "a client could mean another lease by it"


@pytest.mark.parametrize("how", ["cancel", "time"])
async def test_who_does_not_wait_any_longer_leaves_the_line(store: Store, name: bytes, how: str) -> None:
    first = await store.call("Lock/Lock", name=name)
    second = store.call("Lock/Lock", 0.5 if how == "time" else None, name=name)
    await store.until_there_are(2, name)
    third = await waiting(store, name, 2)

    if how == "cancel":
        second.cancel()
    else:
        assert await second.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    left = await store.until_there_are(2, name)
    await store.call("Lock/Unlock", key=first.key)

    assert (await third).key == left[1]


async def test_a_caller_whose_connection_ends_leaves_the_line(store: Store, name: bytes) -> None:
    held = await store.call("Lock/Lock", name=name)
    async with connected(store.port) as other:
        waits = asyncio.ensure_future(other.call("Lock/Lock", None, name=name))
        await store.until_there_are(2, name)

    assert await store.until_there_are(1, name) == [held.key]
    with pytest.raises(asyncio.CancelledError):
        await waits


async def test_the_end_of_the_lease_gives_the_lock_to_the_next(store: Store, name: bytes) -> None:
    lease = await store.lease()
    await store.call("Lock/Lock", name=name, lease=lease)
    second = await waiting(store, name, 1)

    await store.call("Lease/LeaseRevoke", ID=lease)

    assert [(await second).key] == await store.keys(name)


async def test_many_have_a_lock_one_after_the_other(store: Store, name: bytes) -> None:
    inside, order = 0, []

    async def use(number: int) -> None:
        nonlocal inside
        held = await store.call("Lock/Lock", None, name=name)
        inside += 1
        assert inside == 1
        order.append(number)
        await asyncio.sleep(0)
        inside -= 1
        await store.call("Lock/Unlock", key=held.key)

    await asyncio.gather(*(use(number) for number in range(30)))

    assert sorted(order) == list(range(30))
    assert not await store.keys(name)


# -- elections --------------------------------------------------------------------------------------------------------


async def test_who_campaigns_leads_when_those_before_have_resigned(store: Store, name: bytes) -> None:
    first = await store.call("Election/Campaign", name=name, value=b"one")
    campaigns = asyncio.ensure_future(store.call("Election/Campaign", None, name=name, value=b"two"))
    await store.until_there_are(2, name)
    leads = await store.call("Election/Leader", name=name)
    proclaimed = await store.call("Election/Proclaim", leader=first.leader, value=b"one more")
    said = await store.call("Election/Leader", name=name)

    resigned = await store.call("Election/Resign", leader=first.leader)
    second = await campaigns

    assert first.leader.key == name + f"/{first.leader.lease:x}".encode()
    assert (leads.kv.key, leads.kv.value, leads.kv.create_revision) == (first.leader.key, b"one", first.leader.rev)
    assert (said.kv.value, said.kv.mod_revision) == (b"one more", proclaimed.header.revision)
    assert [second.leader.key] == await store.keys(name)
    assert second.header.revision == second.leader.rev < resigned.header.revision
    assert await store.refusal("Election/Proclaim", leader=first.leader, value=b"late") == NOT_LEADER


async def test_who_campaigns_again_says_something_else(store: Store, name: bytes) -> None:
    lease = await store.lease()
    first = await store.call("Election/Campaign", name=name, lease=lease, value=b"one")

    again = await store.call("Election/Campaign", name=name, lease=lease, value=b"two")

    assert again.leader == first.leader
    assert (await store.call("Election/Leader", name=name)).kv.value == b"two"


async def test_who_does_not_campaign_any_longer_leaves_the_line(store: Store, name: bytes) -> None:
    first = await store.call("Election/Campaign", name=name)
    second = store.call("Election/Campaign", None, name=name)
    await store.until_there_are(2, name)

    second.cancel()

    assert await store.until_there_are(1, name) == [first.leader.key]


async def test_who_observes_sees_what_each_leader_says(store: Store, name: bytes) -> None:
    observed = aiter(store.stream("Election/Observe", name=name))
    begins = asyncio.ensure_future(anext(observed))
    await asyncio.sleep(0)
    first = await store.call("Election/Campaign", name=name, value=b"one")
    seen = [(await begins).kv.value]
    await store.call("Election/Proclaim", leader=first.leader, value=b"one more")
    seen.append((await anext(observed)).kv.value)
    campaigns = asyncio.ensure_future(store.call("Election/Campaign", None, name=name, value=b"two"))
    await store.until_there_are(2, name)

    await store.call("Election/Resign", leader=first.leader)
    last = await anext(observed)
    second = await campaigns

    assert [*seen, last.kv.value] == [b"one", b"one more", b"two"]
    assert (last.kv.key, last.kv.create_revision) == (second.leader.key, second.leader.rev)
    assert last.header.revision >= last.kv.mod_revision


# -- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "fields", "refused"),
    [
        ("Lock/Lock", {"lease": 77}, NO_LEASE),
        ("Lock/Lock", {"lease": -1}, NO_LEASE),
        ("Lock/Unlock", {}, NO_KEY),
        ("Election/Campaign", {"lease": 77}, NO_LEASE),
        ("Election/Leader", {"name": b"nobody's"}, (UNKNOWN, "election: no leader")),
        ("Election/Proclaim", {}, NO_LEADER_FIELD),
        ("Election/Proclaim", {"leader": {}}, NO_KEY),
        ("Election/Proclaim", {"leader": {"key": b"e/1", "rev": 3}}, NOT_LEADER),
        ("Election/Resign", {}, NO_LEADER_FIELD),
        ("Election/Resign", {"leader": {}}, NO_KEY),
    ],
)
async def test_refusals_have_etcds_words(store: Store, path: str, fields: dict[str, Any], refused: Any) -> None:
    assert await store.refusal(path, **fields) == refused


async def test_what_is_not_there_can_be_let_go(store: Store) -> None:
    unlocked = await store.call("Lock/Unlock", key=b"nothing")
    resigned = await store.call("Election/Resign", leader={"key": b"e/1", "rev": 3})

    assert unlocked.header.revision == resigned.header.revision > 0


# -- in JSON ----------------------------------------------------------------------------------------------------------


async def test_the_same_in_json(store: Store, name: bytes) -> None:
    web = Web(*await asyncio.open_connection("127.0.0.1", store.port))
    lease = await store.lease()

    locked = await web.json("lock/lock", name=b64(name), lease=str(lease))
    unlocked = await web.json("lock/unlock", key=locked[1]["key"])
    elected = await web.json("election/campaign", name=b64(name), value=b64(b"one"), lease=str(lease))
    said = await web.json("election/proclaim", leader=elected[1]["leader"], value=b64(b"two"))
    leads = await web.json("election/leader", name=b64(name))
    resigned = await web.json("election/resign", leader=elected[1]["leader"])

    assert [status for status, _ in (locked, unlocked, elected, said, leads, resigned)] == [200] * 6
    assert locked[1]["key"] == elected[1]["leader"]["key"] == b64(name + f"/{lease:x}".encode())
    assert leads[1]["kv"]["value"] == b64(b"two")
    web.writer.close()
    await web.writer.wait_closed()


# -- ours alone -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wait", "go", "what_is_held", "refusal"),
    [
        ("Election/Campaign", "Election/Resign", "leader", NOT_LEADER),
        ("Lock/Lock", "Lock/Unlock", "key", (UNKNOWN, "mutex: session is expired")),
    ],
)
async def test_who_has_lost_its_lease_while_it_waited_has_not_won(
    tmp_path: Path, wait: str, go: str, what_is_held: str, refusal: tuple[grpc.StatusCode, str]
) -> None:
    """etcd says that it leads, and never looks; of a lock an etcd of today says what we do, and Debian's does not."""
    async with housed(tmp_path) as house, connected(house.port) as store:
        lease = await store.lease()
        first = await store.call(wait, name=b"n")
        second = asyncio.ensure_future(store.refusal(wait, 60.0, name=b"n", lease=lease))
        await store.until_there_are(2, b"n")

        await store.call("Lease/LeaseRevoke", ID=lease)
        await store.call(go, **{what_is_held: getattr(first, what_is_held)})

        assert await second == refusal
        assert not await store.keys(b"l")


async def test_over_http_a_refusal_says_why_and_who_goes_away_leaves_the_line(tmp_path: Path) -> None:
    async with housed(tmp_path) as house, connected(house.port) as store:
        held = await store.call("Lock/Lock", name=b"l")
        web = Web(*await asyncio.open_connection("127.0.0.1", house.port))
        text = '"leader" field must be provided'

        assert await web.json("election/proclaim") == (500, {"error": text, "message": text, "code": 2})
        asking = asyncio.ensure_future(web.json("lock/lock", name=b64(b"l")))
        await store.until_there_are(2, b"l")
        asking.cancel()
        web.writer.close()
        assert await store.until_there_are(1, b"l") == [held.key]


async def test_whoever_asks_must_be_let_also_to_unlock(tmp_path: Path) -> None:
    async with housed(tmp_path) as house, calling(house.port) as client, connected(house.port) as store:
        token = {"token": (await enabled(client))["bob"]}
        denied = (UNKNOWN, "etcdserver: permission denied")
        held = await store.call("Lock/Lock", name=b"b", **token)

        assert await store.refusal("Lock/Lock", name=b"b") == (UNKNOWN, "etcdserver: user name is empty")
        for path, fields in {"Lock/Lock": {"name": b"a"}, "Lock/Unlock": {"key": b"a"}}.items():
            assert await store.refusal(path, **fields, **token) == denied
        assert await store.refusal("Election/Leader", name=b"a", **token) == denied
        waits = asyncio.ensure_future(store.call("Lock/Lock", None, name=b"b", **token))
        while len((await store.call("KV/Range", key=b"b/", range_end=b"b0", **token)).kvs) < 2:
            await asyncio.sleep(0.005)
        await store.call("Lock/Unlock", key=held.key, **token)
        assert (await waits).key.startswith(b"b/")


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    return certificate(tmp_path)


@pytest.fixture
def trust(files: tuple[str, str]) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(Path(files[0]).read_bytes())


async def test_over_tls(tmp_path: Path, files: tuple[str, str], trust: grpc.ChannelCredentials) -> None:
    async with (
        housed(tmp_path / "store", certificate=files) as house,
        grpc.aio.secure_channel(f"127.0.0.1:{house.port}", trust) as channel,
    ):
        store = Store(channel, house.port)
        held = await store.call("Lock/Lock", name=b"l")
        second = await waiting(store, b"l", 1)
        await store.call("Lock/Unlock", key=held.key)

        assert (await second).key.startswith(b"l/")
