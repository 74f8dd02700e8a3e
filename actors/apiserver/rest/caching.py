"""What a client may keep of a document, and what it need not be sent again.

A document with an ETag is only said to be the same to who has it. One of OpenAPI v3 is asked for by its hash and never
changes under it: kubectl keeps it on disk and asks no more; by an old hash it is sent on to the new one. (KEP-2896)
"""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import formatdate

from actors.apiserver.rest.render import Reply

_YEAR_S = 365 * 24 * 3600.0


def kept(reply: Reply, path: str, query: Mapping[str, str], if_none_match: str, now: float) -> Reply:
    etag = dict(reply.headers).get("ETag", "")
    if not etag:
        return reply
    wanted, current = query.get("hash", ""), etag.strip('"')
    if wanted and path.startswith("/openapi/v3/"):
        if wanted != current:
            return Reply(b"", 301, headers=(("Location", f"{path}?hash={current}"),))
        forever = (("Cache-Control", "public, immutable"), ("Expires", formatdate(now + _YEAR_S, usegmt=True)))
        reply = reply._replace(headers=(*reply.headers, *forever))
    if etag in if_none_match or if_none_match == "*":
        return reply._replace(body=b"", code=304, zipped=False)
    return reply
