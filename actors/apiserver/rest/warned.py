"""What the head of an answer warns of: what is deprecated, and what admission says where a connection is asked for."""

from __future__ import annotations

from aiohttp import web

from actors.apiserver.rest.render import warning_headers

WARNINGS = web.RequestKey("warnings", list)


def warned(request: web.BaseRequest) -> list[tuple[str, str]]:
    return warning_headers(request.get(WARNINGS, ()))
