"""Large answers are compressed: igzip where it is installed does it in a tenth of zlib's time, and as well.

Pieces that are compressed each for itself join into one answer, if each ends at a byte (a full flush): a stream of
deflate is a sequence of blocks, and the checksum of the whole follows from those of the pieces. So what did not change
is not compressed again.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Any

from actors.apiserver.lists import Packed

BYTES_MIN = 128 * 1024  # Kubernetes' own threshold
_GZIP = 31  # zlib's wbits for the format of gzip
_DEFLATE = -15  # and for that of deflate alone
_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # gzip, deflate, no flags, no time, no system
_END = b"\x03\x00"  # a last block with nothing in it

_compressobj: Callable[..., Any] = zlib.compressobj
_combined: Callable[[int, int, int], int] | None = None  # the checksum of two pieces, from theirs and the second's size
try:
    from isal import isal_zlib

    _compressobj = isal_zlib.compressobj
    _combined = isal_zlib.crc32_combine
except ImportError:
    pass  # there is none for this processor

JOINS = _combined is not None


def compressed(body: bytes) -> bytes:
    """The body in the format of gzip (RFC 1952)."""
    compressor = _compressobj(1, wbits=_GZIP)
    whole: bytes = compressor.compress(body) + compressor.flush()
    return whole


def pack(piece: bytes) -> Packed:
    """A piece of what will be `joined`."""
    compressor = _compressobj(1, wbits=_DEFLATE)
    return Packed(compressor.compress(piece) + compressor.flush(zlib.Z_FULL_FLUSH), zlib.crc32(piece), len(piece))


def joined(pieces: Sequence[Packed]) -> list[bytes]:
    """All of them in the format of gzip, in parts. Only where JOINS."""
    assert _combined is not None
    checksum, size = 0, 0
    for piece in pieces:
        checksum = _combined(checksum, piece.checksum, piece.size_bytes)
        size += piece.size_bytes
    end = _END + checksum.to_bytes(4, "little") + (size % 2**32).to_bytes(4, "little")
    return [_HEAD, *(piece.data for piece in pieces), end]
