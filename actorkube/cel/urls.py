"""URLs: absolute ones, or a path that begins with a slash."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit

Url = dict[str, str]


def _parse(text: str) -> SplitResult:
    parts = urlsplit(text)
    _ = parts.port  # raises ValueError for what is no number
    if any(letter.isspace() or ord(letter) < 32 for letter in text) or not (parts.scheme or text.startswith("/")):
        raise ValueError(f'URL parse error during conversion from string: parse "{text}": invalid URI for request')
    return parts


def _is_url(text: str) -> bool:
    return not uri_problem(text)


def uri_problem(text: str) -> str:
    """Why a text is no URL, "" where it is one."""
    try:
        _parse(text)
    except ValueError as error:
        return str(error).removeprefix("URL parse error during conversion from string: ")
    return ""


def _url(text: str) -> Url:
    _parse(text)
    return {"URL": text}


def _hostname(url: Url) -> str:
    parts = _parts(url)
    return (parts.hostname or "") if "[" in parts.netloc else parts.netloc.rpartition("@")[2].partition(":")[0]


def _port(url: Url) -> str:
    port = _parts(url).port
    return "" if port is None else str(port)


def _parts(url: Url) -> SplitResult:
    return urlsplit(url["URL"])


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "url(string) -> URL": _url,
    "isURL(string) -> bool": _is_url,
    "URL.getScheme() -> string": lambda url: _parts(url).scheme,
    "URL.getHost() -> string": lambda url: _parts(url).netloc.rpartition("@")[2],
    "URL.getHostname() -> string": _hostname,
    "URL.getPort() -> string": _port,
    "URL.getEscapedPath() -> string": lambda url: _parts(url).path,
    "URL.getQuery() -> dyn": lambda url: parse_qs(_parts(url).query, keep_blank_values=True),
}
