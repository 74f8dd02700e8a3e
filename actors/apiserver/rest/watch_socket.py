"""A watch over WebSocket, as dashboards in browsers ask for it: one text message an event.

As with kube-apiserver, whatever protocol a client offers is taken (`base64.binary.k8s.io` by most), and of what it
sends only its goodbye is listened to.
"""

from __future__ import annotations

from aiohttp import web

from actors.apiserver.rest.authenticate import offered_protocols

_MESSAGE_BYTES_MAX = 4096
_GOODBYE_S = 1.0


def wants_socket(request: web.BaseRequest) -> bool:
    return request.headers.get("Upgrade", "").strip().lower() == "websocket"


class WatchSocket(web.WebSocketResponse):
    """Takes lines as the body of a plain watch does."""

    def __init__(self, request: web.BaseRequest) -> None:
        super().__init__(
            protocols=offered_protocols(request), compress=False, max_msg_size=_MESSAGE_BYTES_MAX, timeout=_GOODBYE_S
        )

    async def write(self, data: bytes | bytearray | memoryview[int] | memoryview[bytes]) -> None:
        for line in bytes(data).splitlines():
            await self.send_str(line.decode())

    async def until_closed(self) -> None:
        """Answers the client's goodbye. With that the connection ends, and with it the watch."""
        async for _ in self:
            pass
