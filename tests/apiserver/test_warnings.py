"""Warnings travel in headers: what none can carry is left out, and what would be too much is cut short."""

import pytest

from actors.apiserver.rest.render import warning_headers


def texts(*warnings: str) -> list[str]:
    return [value.removeprefix('299 - "').removesuffix('"') for _, value in warning_headers(warnings)]


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (["unknown field spec.a"], ["unknown field spec.a"]),
        (['unknown field "a\\b"'], ['unknown field \\"a\\\\b\\"']),
        (["twice", "twice", "once"], ["twice", "once"]),
        (["größer"], ["größer"]),
        (["a\r\nSet-Cookie: b", "nul \0", "bell \x07", "", "fine"], ["fine"]),
    ],
)
def test_each_is_said_once_if_a_header_can_carry_it(given: list[str], sent: list[str]) -> None:
    assert texts(*given) == sent


def test_a_long_one_is_whole_and_many_are_cut_short() -> None:
    long = [f"{number:03d} {'x' * 996}" for number in range(100)]

    assert texts(*long[:4]) == long[:4]
    assert texts(*long) == [text[:256] for text in long[:16]]
