"""The channel protocols of exec: what goes over a WebSocket, and how a command's end is worded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.apiserver.rest.channels import (
    CLOSE,
    RESIZE,
    STDIN,
    STDOUT,
    SUBPROTOCOLS,
    V4,
    V4_BASE64,
    V5,
    Frame,
    ended,
    from_wire,
    to_wire,
)


@given(st.sampled_from(SUBPROTOCOLS), st.integers(0, RESIZE), st.binary(max_size=200))
def test_what_is_sent_is_read_as_it_was(subprotocol: str, channel: int, data: bytes) -> None:
    assert from_wire(subprotocol, to_wire(subprotocol, channel, data)) == Frame(channel, data)


@given(st.sampled_from(SUBPROTOCOLS), st.text(max_size=50) | st.binary(max_size=50))
def test_any_message_is_a_frame_or_a_value_error(subprotocol: str, message: str | bytes) -> None:
    try:
        frame = from_wire(subprotocol, message)
    except ValueError:
        return

    assert 0 <= frame.channel <= CLOSE


def test_only_version_5_closes_a_channel() -> None:
    assert from_wire(V5, bytes((CLOSE, STDIN))) == Frame(CLOSE, bytes((STDIN,)))
    with pytest.raises(ValueError, match="closes no channels"):
        from_wire(V4, bytes((CLOSE, STDIN)))


def test_the_base64_form_is_text() -> None:
    assert to_wire(V4_BASE64, STDOUT, b"hi\xff") == "1aGn/"


def test_an_end_is_worded_as_clients_read_it() -> None:
    assert ended(0) == {"metadata": {}, "status": "Success"}
    assert ended(7)["reason"] == "NonZeroExitCode"
    assert ended(7)["details"] == {"causes": [{"reason": "ExitCode", "message": "7"}]}
    assert ended(0, "no such file")["message"].endswith("error executing command in container: no such file")
