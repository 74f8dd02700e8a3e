"""A look at an etcd before a cluster is built on it: does it answer, which one is it, what does it hold?"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from actors.etcd.external import convert
from actors.etcd.external.address import ExternalAddress
from actors.etcd.external.channel import Channel, Failed, Lost
from actors.etcd.grpc.messages import DecodeError, message
from protocols.etcd import Range

WITHIN_S = 3.0


class Found(NamedTuple):
    """`value`: of the first key in the range that was looked at, b"" where there is none."""

    version: str
    value: bytes


async def look(address: ExternalAddress, key: bytes, range_end: bytes) -> Found:
    """Asks the first endpoint that answers. Raises OSError with a sentence."""
    context, troubles = address.context(), []
    for endpoint in address.endpoints:
        try:
            channel = await Channel.open(endpoint, context, WITHIN_S)
        except OSError as error:
            troubles.append(f"{endpoint}: {error}")
            continue
        try:
            async with asyncio.timeout(WITHIN_S):
                return await _found(channel, Range(key, range_end, limit=1))
        except (Failed, Lost, DecodeError, TimeoutError) as error:
            troubles.append(f"{endpoint}: {error if str(error) else f'no answer within {WITHIN_S} s'}")
        finally:
            channel.close()
    raise OSError("; ".join(troubles))


async def _found(channel: Channel, first: Range) -> Found:
    status = await channel.call("/etcdserverpb.Maintenance/Status", b"")
    ranged = await channel.call("/etcdserverpb.KV/Range", convert.from_range(first).SerializeToString())
    kvs = message("etcdserverpb.RangeResponse").FromString(ranged).kvs
    return Found(message("etcdserverpb.StatusResponse").FromString(status).version, kvs[0].value if kvs else b"")
