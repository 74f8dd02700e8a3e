"""The file of bearer tokens that an administrator keeps."""

from __future__ import annotations

import pytest

from actors.apiserver.tokens.file import TokenFileError, read_tokens

FILE = """\
t1,jane,u1,"team, others"

t2,robot,u2
t3, eve , u3 ,one
"""


def test_each_line_is_a_caller() -> None:
    found = read_tokens(FILE, "tokens.csv")

    assert {token: (each.user, each.uid, each.groups) for token, each in found.items()} == {
        "t1": ("jane", "u1", ("team", "others", "system:authenticated")),
        "t2": ("robot", "u2", ("system:authenticated",)),
        "t3": ("eve", "u3", ("one", "system:authenticated")),
    }


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("t,jane", "tokens.csv, line 1: at least token, user name and user uid, in 3 columns, found 2"),
        ("t,jane,1\nt,eve,2", "tokens.csv, line 2: this token is there already"),
        (",jane,1", "line 1: the token is empty"),
        ("t,,1", "line 1: the user name is empty"),
        ('t,"jane,1', "line 1: unexpected end of data"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, complaint: str) -> None:
    with pytest.raises(TokenFileError, match=complaint):
        read_tokens(text, "tokens.csv")
