"""Who asks is told to the server behind in headers: a name is one value of one header, whatever is in it."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from actors.apiserver.callers import Caller
from actors.apiserver.rest.aggregator import identity

NAMES = st.text(max_size=20) | st.text(st.sampled_from("a: \r\n\0"), max_size=8)


@example("jane\r\nX-Remote-Group: system:masters", [], "", [])
@given(NAMES, st.lists(NAMES, max_size=3), NAMES, st.lists(NAMES, max_size=2))
def test_a_name_adds_no_header(user: str, groups: list[str], uid: str, extra: list[str]) -> None:
    caller = Caller(user, tuple(groups), uid=uid, extra=(("scopes", tuple(extra)),))

    told = list(identity(caller))

    assert all(not set("\r\n\0") & set(name + value) for name, value in told)
    assert [name for name, _ in told] == [
        "X-Remote-User",
        *["X-Remote-Uid"] * bool(uid),
        *["X-Remote-Group"] * len(groups),
        *["X-Remote-Extra-scopes"] * len(extra),
    ]
    assert told[0][1].split() == user.replace("\0", " ").split()
