"""The way of a request through the gate of priority and fairness, as the other files of this folder see it."""

from __future__ import annotations

from aiohttp import web

from actors.apiserver.flowcontrol.gate import Extent, Pass
from actors.apiserver.rest.params import Params
from protocols.errors import BadRequest

PASS = web.RequestKey("flowcontrol.pass", Pass)
Headers = list[tuple[str, str]]
# Of what was refused before it came to the gate.
FLOW: web.RequestKey[Headers] = web.RequestKey("flowcontrol.flow", list)


def extent_of(params: Params) -> Extent:
    lists_first = params.flag("sendInitialEvents") or params.text("resourceVersion") in ("", "0")
    selects = bool(params.text("labelSelector") or params.text("fieldSelector"))
    try:
        limit = max(0, params.number("limit"))
    except BadRequest:  # which is said with all else that is wrong with the options
        limit = 0
    return Extent(limit, selects, lists_first)


def flow_headers(request: web.BaseRequest) -> Headers:
    """By which a client sees where its request belonged; nothing for what is held open."""
    way: Pass | None = request.get(PASS)
    if way is not None:
        return way.headers
    refused: Headers = request.get(FLOW, [])
    return refused


def has_begun(request: web.BaseRequest) -> None:
    """What lasts from here on holds no seats: a watch that tells of changes."""
    if (way := request.get(PASS)) is not None:
        way.leave()
