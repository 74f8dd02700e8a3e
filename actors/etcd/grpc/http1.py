"""HTTP/1.1 for etcd's pages and its JSON, without I/O: bytes in, requests out, as h11 reads them, and answers.

What a request may take is bounded. Whoever says what makes no sense is answered once, and not listened to any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

import h11

HEAD_BYTES_MAX = 16 << 10
BODY_BYTES_MAX = 3 << 20  # in JSON, bytes take a third more than in gRPC
METHODS = (b"GET ", b"HEAD ", b"POST ", b"PUT ", b"PATCH ", b"DELETE ", b"OPTIONS ")
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


class Request(NamedTuple):
    """Names of fields are in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    fields: Mapping[str, str]
    body: bytes
    keeps_alive: bool


class Broken(Exception):
    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


def begins(data: bytes) -> bool | None:
    """Whether a connection that begins so speaks HTTP/1; None: too little to tell."""
    if any(data.startswith(method) for method in METHODS):
        return True
    return None if any(method.startswith(data) for method in METHODS) else False


class Reader:
    """`waits_to_continue` once, when a body is held back until it is asked for. Each request has a parser of its own,
    which takes over what came behind the one before: answers are not told to h11."""

    def __init__(self) -> None:
        self.waits_to_continue = False
        self._begin(b"")

    def feed(self, data: bytes) -> list[Request]:
        """Raises Broken."""
        found = []
        try:
            self._parser.receive_data(data)
            while (request := self._next()) is not None:
                found.append(request)
        except h11.RemoteProtocolError as error:
            raise Broken(error.error_status_hint, HTTPStatus(error.error_status_hint).phrase) from None
        return found

    def _begin(self, received: bytes) -> None:
        self._parser = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES_MAX)
        self._head: h11.Request | None = None
        self._body = bytearray()
        self._has_waited = False
        if received:
            self._parser.receive_data(received)

    def _next(self) -> Request | None:
        """The next that is complete."""
        while True:
            match self._parser.next_event():
                case h11.Request() as head:
                    self._head = head
                    self._check(int(dict(head.headers).get(b"content-length", 0)))
                case h11.Data() as part:
                    self._body += part.data
                    self._check(len(self._body))
                case h11.EndOfMessage():
                    return self._complete()
                case _:
                    self.waits_to_continue = self._parser.they_are_waiting_for_100_continue and not self._has_waited
                    self._has_waited |= self.waits_to_continue
                    return None

    def _check(self, size: int) -> None:
        if size > BODY_BYTES_MAX:
            raise Broken(413, HTTPStatus(413).phrase)

    def _complete(self) -> Request:
        assert self._head is not None
        url = urlsplit(self._head.target.decode("latin-1"))
        fields = {name.decode("latin-1"): value.decode("latin-1") for name, value in self._head.headers}
        method, keeps_alive = self._head.method.decode("latin-1"), self._parser.their_state is not h11.MUST_CLOSE
        query = dict(parse_qsl(url.query, True))
        request = Request(method, unquote(url.path), query, fields, bytes(self._body), keeps_alive)
        self._begin(self._parser.trailing_data[0])
        return request


def answer(status: int, kind: str, body: bytes, *, keeps_alive: bool, has_body: bool = True) -> bytes:
    return _head_of(status, kind, f"Content-Length: {len(body)}", keeps_alive) + (body if has_body else b"")


def beginning(status: int, kind: str, *, keeps_alive: bool) -> bytes:
    """Of an answer in chunks."""
    return _head_of(status, kind, "Transfer-Encoding: chunked", keeps_alive)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _head_of(status: int, kind: str, length: str, keeps_alive: bool) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"Content-Type: {kind}", length]
    if not keeps_alive:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode()
