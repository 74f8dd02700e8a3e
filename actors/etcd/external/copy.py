"""A copy of a store that runs, over the network: what Maintenance.Snapshot sends, checked, as a file.

It is what `etcdctl snapshot save` writes: from our members a copy for `actorkube etcd restore`, from a real etcd its
own database, for etcdutl. At the end of either stands the SHA-256 of all before it.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path
from typing import BinaryIO

from actorkube.runtime.disk import sync_directory
from actors.etcd.external.address import Endpoint, ExternalAddress
from actors.etcd.external.channel import Channel, Failed, Lost
from actors.etcd.grpc.messages import message
from actors.etcd.snapshot import DIGEST_BYTES

CONNECT_S = 5.0
SNAPSHOT = "/etcdserverpb.Maintenance/Snapshot"


class NotCopied(Exception):
    """In one sentence, why there is no copy."""


async def save_copy(address: ExternalAddress, target: Path) -> Endpoint:
    """Write the file beside, check it, sync and rename it: it is there whole, or not at all. The first endpoint that
    answers is asked, and returned. Raises NotCopied; OSError where the file cannot be written."""
    beside = target.with_name(f"{target.name}.part")
    channel = await _connect(address)
    try:
        with beside.open("wb") as file:
            await _receive(channel, file)
            file.flush()
            os.fsync(file.fileno())
        beside.rename(target)
        sync_directory(target.parent)
    except (Failed, Lost) as error:
        raise NotCopied(f"{channel.endpoint}: {error}") from None
    finally:
        channel.close()
        await asyncio.wait([channel.gone], timeout=CONNECT_S)
        beside.unlink(missing_ok=True)
    return channel.endpoint


async def _connect(address: ExternalAddress) -> Channel:
    why = []
    try:
        context = address.context()
    except OSError as error:
        raise NotCopied(f"a certificate or key cannot be read: {error}") from None
    for endpoint in address.endpoints:
        try:
            return await Channel.open(endpoint, context, CONNECT_S)
        except OSError as error:
            why.append(f"{endpoint}: {error}")
    raise NotCopied(f"nobody answers: {'; '.join(why)}")


async def _receive(channel: Channel, file: BinaryIO) -> None:
    """All but the last bytes, which are the digest of the others, are hashed as they come."""
    response = message("etcdserverpb.SnapshotResponse")
    number, incoming = channel.ask(SNAPSHOT, message("etcdserverpb.SnapshotRequest")().SerializeToString())
    digest, end = hashlib.sha256(), b""
    try:
        while (piece := await incoming.next()) is not None:
            blob = response.FromString(piece).blob
            file.write(blob)
            end += blob
            digest.update(end[:-DIGEST_BYTES])
            end = end[-DIGEST_BYTES:]
    finally:
        channel.drop(number)
    if len(end) < DIGEST_BYTES or digest.digest() != end:
        raise NotCopied(f"{channel.endpoint}: what came is not what was sent: its SHA-256 is another")
