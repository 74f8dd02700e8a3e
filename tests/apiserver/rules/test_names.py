"""Forms of names, against checks that look at one character at a time."""

from collections.abc import Callable, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.apiserver.rules import names

LOWER, DIGITS = set("abcdefghijklmnopqrstuvwxyz"), set("0123456789")
UPPER = {letter.upper() for letter in LOWER}
texts = st.text("aZ0-._/ é\n", max_size=8)


def is_label(text: str) -> bool:
    ends = LOWER | DIGITS
    return 0 < len(text) <= 63 and all(c in ends or c == "-" for c in text) and text[0] in ends and text[-1] in ends


def is_subdomain(text: str) -> bool:
    return len(text) <= 253 and all(is_label(part) for part in text.split("."))


def is_name_part(text: str) -> bool:
    ends = LOWER | UPPER | DIGITS
    return 0 < len(text) <= 63 and all(c in ends or c in "-_." for c in text) and text[0] in ends and text[-1] in ends


def is_label_key(text: str) -> bool:
    prefix, *rest = text.split("/", 1)
    return is_subdomain(prefix) and is_name_part(rest[0]) if rest else is_name_part(text)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(texts)
def test_names_are_accepted_as_a_slow_look_at_each_character_accepts_them(text: str) -> None:
    assert accepts(names.dns_label, text) == is_label(text)
    assert accepts(names.dns_subdomain, text) == is_subdomain(text)
    assert accepts(names.label_key, text) == is_label_key(text)
    assert accepts(names.label_value, text) == (text == "" or is_name_part(text))


def accepts(check: Callable[[str], Iterable[str]], text: str) -> bool:
    return not list(check(text))


@pytest.mark.parametrize(
    ("check", "text", "message"),
    [
        (
            names.dns_subdomain,
            "Web_1",
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
            "start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
            r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
        ),
        (names.dns_label, "a.b", "must not contain dots"),
        (names.dns_label, "a" * 64, "must be no more than 63 characters"),
        (
            names.dns_1035_label,
            "1web",
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic "
            "character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for "
            "validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
        ),
        (names.port_name, "a--b", "must not contain consecutive hyphens"),
        (names.port_name, "123", "must contain at least one letter (a-z)"),
        (names.port_number, 0, "must be between 1 and 65535, inclusive"),
        (names.config_key, "..x", "must not start with '..'"),
        (names.path_segment, "a/b", "may not contain '/'"),
        (names.cidr, "10.0.0.0", "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"),
    ],
)
def test_what_is_wrong_is_said_in_kubernetes_words(
    check: Callable[[str], Iterable[str]], text: str, message: str
) -> None:
    assert list(check(text)) == [message]


def test_several_things_can_be_wrong_with_a_label_key() -> None:
    problems = list(names.label_key("Example.com/-x"))

    assert [problem.split(" ")[0] for problem in problems] == ["prefix", "name"]
    assert next(names.label_key("a/b/c")).startswith("a valid label key must consist of")
