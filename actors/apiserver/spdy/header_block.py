"""Headers of a stream: pairs of names and values, compressed by one zlib stream for all of a connection's blocks.

Both ends begin with the dictionary of SPDY/3 (draft 3.1, 2.6.10.1): words that headers are likely to contain.
"""

from __future__ import annotations

import struct
import zlib

BLOCK_BYTES_MAX = 16 * 1024  # when it is no longer compressed
_PAIRS_MAX = 64
_LENGTH = struct.Struct(">I")

_WORDS = """
options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow
authorization cache-control connection content-base content-encoding content-language content-length content-location
content-md5 content-range content-type date etag expect expires from host if-match if-modified-since if-none-match
if-range if-unmodified-since last-modified location max-forwards pragma proxy-authenticate proxy-authorization range
referer retry-after server te trailer transfer-encoding upgrade user-agent vary via warning www-authenticate method get
status 200_OK version HTTP/1.1 url public set-cookie keep-alive origin
"""
_TEXT = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden"
    "404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,"
    "publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)


def _sized(text: bytes) -> bytes:
    return _LENGTH.pack(len(text)) + text


DICTIONARY = b"".join(_sized(word.replace("_", " ").encode()) for word in _WORDS.split()) + _TEXT.encode()


class HeaderReader:
    """One for a connection: a block can be read only after all blocks before it. Every method raises ValueError."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(zdict=DICTIONARY)

    def read(self, block: bytes) -> dict[str, str]:
        """Names are in lower case; of several values of a name, which NUL separates, the first counts."""
        try:
            data = self._zlib.decompress(block, BLOCK_BYTES_MAX)
        except zlib.error as error:
            raise ValueError(f"headers that are not compressed as they should be: {error}") from None
        if self._zlib.unconsumed_tail or self._zlib.eof:
            raise ValueError(f"headers of more than {BLOCK_BYTES_MAX} bytes, or none after them")
        return _pairs(data)


class HeaderWriter:
    def __init__(self) -> None:
        self._zlib = zlib.compressobj(zdict=DICTIONARY)

    def write(self, headers: dict[str, str]) -> bytes:
        data = _LENGTH.pack(len(headers)) + b"".join(
            _sized(name.lower().encode()) + _sized(value.encode()) for name, value in headers.items()
        )
        return self._zlib.compress(data) + self._zlib.flush(zlib.Z_SYNC_FLUSH)


def _pairs(data: bytes) -> dict[str, str]:
    count, at = _number(data, 0), 4
    if count > _PAIRS_MAX:
        raise ValueError(f"{count} headers, where {_PAIRS_MAX} are the most")
    headers: dict[str, str] = {}
    for _ in range(count):
        name, at = _text(data, at)
        value, at = _text(data, at)
        headers.setdefault(name.lower(), value.partition("\0")[0])
    if at != len(data):
        raise ValueError("bytes after the last header")
    return headers


def _text(data: bytes, at: int) -> tuple[str, int]:
    start = at + 4
    end = start + _number(data, at)
    if end > len(data):
        raise ValueError("a header ends before its length")
    return data[start:end].decode("latin-1"), end


def _number(data: bytes, at: int) -> int:
    if at + 4 > len(data):
        raise ValueError("headers end in the middle of a length")
    number: int = _LENGTH.unpack_from(data, at)[0]
    return number
