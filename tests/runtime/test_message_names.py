"""Equal names are no clash: what a module declares is its own, on the wire as in Python."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import protocols.api
import protocols.errors
from actorkube.runtime import Actor
from actorkube.testing import WORLDS, World, run_in
from protocols.errors import decode_error, encode_error
from protocols.frame import HEADER, KIND_BITS
from protocols.message import TYPE_ID_MAX, Message, Request, decode, encode
from tests.runtime import shop_messages

in_every_world = pytest.mark.parametrize("kind", WORLDS)


class Found(Message):
    number: int


class Get(Request[Found]):
    number: int


class Store(Actor):
    def receive(self, message: Message) -> object:
        match message:
            case Get(number):
                return Found(number)
            case shop_messages.Get(0):
                raise shop_messages.NotFound("shelf 0 is empty")
            case shop_messages.Get():
                return shop_messages.Found("tea")
        return super().receive(message)


@in_every_world
def test_messages_of_one_name_from_two_modules_do_not_meet(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await world.boot("store", lambda system: system.spawn(Store, "store") and None)
        here = await world.boot("client", lambda system: None)
        store = here.ref("store/store")

        mine, theirs = await here.ask(store, Get(7)), await here.ask(store, shop_messages.Get(1))

        assert mine == Found(7)
        assert theirs == shop_messages.Found("tea")
        with pytest.raises(shop_messages.NotFound, match="shelf 0 is empty"):
            await here.ask(store, shop_messages.Get(0))

    run_in(kind, scenario, tmp_path)


def test_kubernetes_messages_and_errors_keep_their_meaning_beside_a_users() -> None:
    assert Get.type_id != protocols.api.Get.type_id != shop_messages.Get.type_id

    back = decode_error(encode_error(protocols.errors.NotFound('pods "x" not found')))

    assert type(back) is protocols.errors.NotFound


def test_a_number_has_room_in_the_header_of_a_frame() -> None:
    word = 255 | TYPE_ID_MAX << KIND_BITS

    assert HEADER.unpack(HEADER.pack(0, word, 0, 0, 0, 0))[1] == word


@pytest.mark.slow
def test_a_script_says_the_same_as_the_module_that_others_import(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(
        "from protocols.message import Message, encode\n\n\n"
        "class Sold(Message):\n    what: str\n\n\n"
        "if __name__ == '__main__':\n    print(Sold.type_id, encode(Sold('tea')).hex())\n"
    )
    client = "import shop; print(shop.Sold.type_id, shop.encode(shop.Sold('tea')).hex())"
    ways = (["shop.py"], ["-m", "shop"], ["-c", client])

    said = {subprocess.check_output([sys.executable, *way], cwd=tmp_path, text=True) for way in ways}

    assert len(said) == 1


def test_a_module_that_is_read_again_replaces_its_messages() -> None:
    source = "from protocols.message import Message\nclass Reread(Message):\n    {field}\n"
    scope: dict[str, Any] = {"__name__": "reread"}
    exec(source.format(field="old: int"), scope)
    decode(scope["Reread"].type_id, encode(scope["Reread"](1)))

    exec(source.format(field="new: str"), scope)

    Reread = scope["Reread"]
    assert decode(Reread.type_id, encode(Reread("x"))) == Reread("x")
