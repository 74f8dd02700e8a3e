"""Encryption at rest: what lies in the store, what changes when keys change, and what a wrong key says."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.apiserver.encryption.config import ConfigurationError, parse_configuration, read_configuration
from actors.apiserver.encryption.sealing import AesGcm, CannotDecrypt, Encryption, Identity, Provider, Rule, SecretBox
from protocols.etcd import KeyValue, Op, Range, Txn
from protocols.objects import Object
from tests.apiserver.world import World, config_map

SECRETS = b"/registry/core/secrets/"
KEYS: dict[str, Provider] = {
    **{name: AesGcm(name, bytes([number]) * 32) for number, name in enumerate(("key1", "key2", "other"))},
    "box": SecretBox("box", b"b" * 32),
}
HIDDEN = b"correct horse battery staple"


def encryption(*names: str, resources: tuple[str, ...] = ("secrets",)) -> Encryption:
    """Keys by their names; "" is the identity provider."""
    return Encryption([Rule(resources, tuple(KEYS[name] if name else Identity() for name in names))])


def secret(name: str = "a") -> Object:
    data = {"password": base64.b64encode(HIDDEN).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "default"}, "data": data}


class Before:
    """One store, and API servers with one configuration after the other."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def raw(self, prefix: bytes = SECRETS) -> list[KeyValue]:
        store = self.world.systems["test"].ref("etcd-0/etcd")
        answer = await self.world.systems["test"].ask(store, Range(prefix, prefix[:-1] + b"0"), 10)
        return list(answer.kvs)

    async def write_raw(self, key: bytes, value: bytes) -> None:
        store = self.world.systems["test"].ref("etcd-0/etcd")
        await self.world.systems["test"].ask(store, Txn((), (Op("put", key, value),)), 10)


@asynccontextmanager
async def before(directory: Path, first: Encryption | None) -> AsyncIterator[Before]:
    world = World(directory)
    await world.system("test")
    try:
        world.api = await world.api_server(await world.store(), encryption=first)
        yield Before(world)
    finally:
        await world.stop()


async def test_a_secret_lies_sealed_in_the_store_and_is_served_plain(tmp_path: Path) -> None:
    async with before(tmp_path, encryption("key1")) as here:
        await here.world.create("secrets", secret())
        await here.world.create("configmaps", config_map("plain"))
        (stored,) = await here.raw()
        plain = await here.raw(b"/registry/core/configmaps/")

        assert stored.value.startswith(b"k8s:enc:aesgcm:v1:key1:")
        assert HIDDEN not in stored.value and base64.b64encode(HIDDEN) not in stored.value
        assert not any(kv.value.startswith(b"k8s:enc:") for kv in plain)
        assert (await here.world.get("secrets", "a"))["data"] == secret()["data"]
        await here.world.restart(encryption=encryption("key1"))
        assert (await here.world.get("secrets", "a"))["data"] == secret()["data"]


@pytest.mark.parametrize(("provider", "key"), [("aesgcm", "key1"), ("secretbox", "box")])
async def test_nothing_of_a_secret_is_in_any_file(tmp_path: Path, provider: str, key: str) -> None:
    async with before(tmp_path, encryption(key)) as here:
        await here.world.create("secrets", secret())

    files = contents(tmp_path)
    assert any(f"k8s:enc:{provider}:v1:{key}:".encode() in content for content in files)
    assert not any(base64.b64encode(HIDDEN) in content for content in files)


def contents(directory: Path) -> list[bytes]:
    return [path.read_bytes() for path in directory.rglob("*") if path.is_file()]


async def test_keys_are_changed_by_adding_one_and_writing_everything_again(tmp_path: Path) -> None:
    async with before(tmp_path, None) as here:
        await here.world.create("secrets", secret())
        for names in (("key1", ""), ("key2", "key1"), ("box", "key2"), ("box",), ("", "box")):
            provider = "secretbox" if names[0] == "box" else "aesgcm"
            await here.world.restart(encryption=encryption(*names))
            unchanged = await here.world.get("secrets", "a")
            await here.world.update("secrets", unchanged)
            (stored,) = await here.raw()
            assert stored.value.startswith(f"k8s:enc:{provider}:v1:{names[0]}:".encode()) is bool(names[0]), names
            assert stored.value.startswith(b"k8s:enc:") is bool(names[0]), names
            again = await here.world.update("secrets", await here.world.get("secrets", "a"))
            assert int(again["metadata"]["resourceVersion"]) == stored.mod_revision, "written once, not each time"

        assert again["data"] == secret()["data"]


@pytest.mark.slow
@pytest.mark.parametrize("names", [("other",), None], ids=["another key", "no configuration"])
async def test_a_server_without_the_key_does_not_serve_and_changes_nothing(
    tmp_path: Path, names: tuple[str, ...] | None
) -> None:
    async with before(tmp_path, encryption("key1")) as here:
        await here.world.create("secrets", secret())
        stored = await here.raw()
        await here.world.stop_system("apiserver")
        await asyncio.sleep(0)
        starting = asyncio.ensure_future(
            here.world.api_server(["etcd-0/etcd"], encryption=encryption(*names) if names else None)
        )
        done, _ = await asyncio.wait([starting], timeout=1.0)
        starting.cancel()

        assert not done
        assert await here.raw() == stored
        await here.world.restart(encryption=encryption("key1"))
        assert (await here.world.get("secrets", "a"))["data"] == secret()["data"]


async def test_a_sealed_value_does_not_open_under_another_key_of_the_store(tmp_path: Path) -> None:
    async with before(tmp_path, encryption("key1")) as here:
        await here.world.create("secrets", secret())
        (stored,) = await here.raw()

    with pytest.raises(CannotDecrypt, match="/registry/core/secrets/default/b cannot be decrypted"):
        encryption("key1").open(SECRETS + b"default/b", stored.value)


# -- values -----------------------------------------------------------------------------------------------------------

NAMES = st.lists(st.sampled_from(["key1", "key2", "other", "box"]), min_size=1, max_size=3, unique=True)


@given(value=st.binary(max_size=200), writes=NAMES, reads=NAMES)
def test_what_one_configuration_seals_another_opens_exactly_if_it_has_the_key(
    value: bytes, writes: list[str], reads: list[str]
) -> None:
    key = SECRETS + b"default/a"
    sealed, reader = encryption(*writes).seal(key, value), encryption(*reads)

    if writes[0] in reads:
        assert reader.open(key, sealed) == value
        assert reader.is_stale(key) is (writes[0] != reads[0])
    else:
        with pytest.raises(CannotDecrypt, match=f"the key named {writes[0]}, which the encryption configuration"):
            reader.open(key, sealed)


@given(at=st.integers(0, 10_000), bit=st.integers(0, 7), name=st.sampled_from(["key1", "box"]))
def test_a_value_that_was_changed_anywhere_does_not_open(at: int, bit: int, name: str) -> None:
    key, here = SECRETS + b"default/a", encryption(name)
    sealed = bytearray(here.seal(key, b"value"))
    sealed[at % len(sealed)] ^= 1 << bit

    with pytest.raises(CannotDecrypt):
        here.open(key, bytes(sealed))


@pytest.mark.parametrize("wrong", [AesGcm("key1", b"x" * 32), SecretBox("box", b"x" * 32)], ids=["aesgcm", "secretbox"])
def test_a_key_of_the_same_name_and_other_bytes_says_so(wrong: Provider) -> None:
    name = wrong.prefix.decode().split(":")[4]
    sealed = encryption(name).seal(SECRETS + b"default/a", b"value")

    with pytest.raises(CannotDecrypt, match=f"the key named {name} is not the one that sealed it"):
        Encryption([Rule(("secrets",), (wrong,))]).open(SECRETS + b"default/a", sealed)


def test_a_secret_box_is_what_others_can_open() -> None:
    """The form of kube-apiserver: the nonce, then what crypto_secretbox makes (NaCl's own test vector)."""
    key = bytes.fromhex("1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389")
    nonce = bytes.fromhex("69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37")
    box = SecretBox("k", key, nonce=lambda size: nonce)
    sealed = box.seal(b"", bytes.fromhex("be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffc"))

    assert sealed.startswith(b"k8s:enc:secretbox:v1:k:" + nonce)
    assert sealed[-32:].hex() == "8e993b9f48681273c29650ba32fc76ce48332ea7164d96a4476fb8c531a1186a"


@pytest.mark.parametrize(
    ("resource", "key", "is_sealed"),
    [
        ("secrets", b"/registry/core/secrets/default/a", True),
        ("secrets", b"/registry/core/configmaps/default/a", False),
        ("deployments.apps", b"/registry/apps/deployments/default/a", True),
        ("*.apps", b"/registry/apps/deployments/default/a", True),
        ("*.apps", b"/registry/core/secrets/default/a", False),
        ("*.", b"/registry/core/secrets/default/a", True),
        ("*.*", b"/registry/apps/deployments/default/a", True),
        ("*.*", b"/registry/core/resourcequotas/default/a", False),
        ("*.*", b"/registry/claims/nodeport/30000", False),
    ],
)
def test_a_rule_is_about_the_resources_that_it_names(resource: str, key: bytes, is_sealed: bool) -> None:
    assert encryption("key1", resources=(resource,)).seal(key, b"v").startswith(b"k8s:enc:") is is_sealed


# -- the configuration ------------------------------------------------------------------------------------------------

GOOD = base64.b64encode(b"k" * 32).decode()


def configuration(*providers: Any, resources: Any = ("secrets",)) -> Any:
    head = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "EncryptionConfiguration"}
    return {**head, "resources": [{"resources": [*resources], "providers": [*providers]}]}


def aesgcm(*keys: tuple[str, str]) -> Any:
    return {"aesgcm": {"keys": [{"name": name, "secret": text} for name, text in keys]}}


def test_a_configuration_is_read_as_kubernetes_has_it() -> None:
    box = {"secretbox": {"keys": [{"name": "key0", "secret": GOOD}]}}
    read = read_configuration(configuration(aesgcm(("key1", GOOD)), box, {"identity": {}}))

    sealed = read.seal(SECRETS + b"a/b", b"value")
    assert read.open(SECRETS + b"a/b", sealed) == b"value" == read.open(SECRETS + b"a/b", b"value")


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({}, "it must be of kind EncryptionConfiguration"),
        (configuration(), "providers: Required value"),
        (configuration({"identity": {}}, resources=()), "resources: Required value"),
        (configuration({"aescbc": {}}), "aescbc: Unsupported value: there are aesgcm, secretbox and identity"),
        (configuration({"secretbox": {"keys": [{"name": "k", "secret": GOOD[:20] + "=="}]}}), "must have 32"),
        (configuration(aesgcm()), r"aesgcm.keys: Required value"),
        (configuration(aesgcm(("", GOOD))), "a key has a name"),
        (configuration(aesgcm(("k", "!"))), "it is not base64"),
        (configuration(aesgcm(("k", GOOD[:8]))), "must have 16, 24 or 32"),
        (configuration(aesgcm(("k", GOOD), ("k", GOOD))), "two keys have one name"),
        (configuration({"identity": {}}, resources=("resourcequotas",)), "quotas are not encrypted"),
    ],
)
def test_a_configuration_that_is_wrong_is_refused_and_no_key_is_told(document: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as refusal:
        read_configuration(document)

    assert GOOD not in str(refusal.value)


def test_a_file_that_is_no_yaml_is_named_and_not_quoted() -> None:
    with pytest.raises(ConfigurationError, match=r"^enc\.yaml: not YAML, line 2$"):
        parse_configuration("a: b\nsecret: [", "enc.yaml")
