"""`kubectl exec`: a WebSocket of the client's on one side, a session with the kubelet of the pod's node on the other.

What can be refused is refused before the WebSocket begins, as a Status. From then on two pumps run: the session's
stream into the socket, one item after another, so that a client that does not read stops the command's output; and the
socket into the session, one request after another. The session ends with its stream, whatever the client does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import orjson
from aiohttp import WSMsgType, web

from actorkube.runtime import Context, Ref, Stream
from actors.apiserver.rest import channels
from actors.apiserver.rest.logs import choose_container
from actors.apiserver.rest.params import Params
from protocols.errors import Answer, AskError, BadRequest, InternalError, StatusError
from protocols.exec import CHUNK_BYTES_MAX, IDLE_S, WINDOW, ExecInPod, ExecInput, ExecItem, ResizeTerminal
from protocols.objects import Object, name_of, namespace_of
from protocols.rules.pods import node_of

_OPENED_WITHIN_S = 30.0
_MESSAGE_BYTES_MAX = 1024 * 1024
_SIZE_MAX = 65_535


class SpdyNotServed(StatusError):
    """Clients of before 2024 stream over SPDY/3.1 only."""

    code, reason = 501, "NotImplemented"


class Choice:
    """What the query asks for (PodExecOptions). Raises BadRequest."""

    def __init__(self, pod: Object, params: Params, command: list[str]) -> None:
        self.stdin, self.tty = params.flag("stdin"), params.flag("tty")
        self.stdout = params.flag("stdout")
        self.stderr = params.flag("stderr") and not self.tty
        if not (self.stdin or self.stdout or self.stderr):
            raise BadRequest("you must specify at least 1 of stdin, stdout, stderr")
        if not command:
            raise BadRequest("you must specify at least one command for the container")
        container = choose_container(pod, params.text("container"))
        cmd = tuple(command)
        self.request = ExecInPod(namespace_of(pod), name_of(pod), container, cmd, self.stdin, self.tty)

    def shows(self, channel: int) -> bool:
        return (channel == channels.STDOUT and self.stdout) or (channel == channels.STDERR and self.stderr)


async def run_exec(context: Context, request: web.BaseRequest, pod: Object, params: Params) -> web.StreamResponse:
    choice = Choice(pod, params, request.query.getall("command", []))
    node = node_of(pod)
    if not node:
        raise BadRequest(f"pod {name_of(pod)} does not have a host assigned")
    require_websocket(request, "exec takes a WebSocket, which kubectl uses from 1.30 on", channels.SUBPROTOCOLS)
    kubelet = context.ref(f"{node}-kubelet/kubelet")
    async with context.stream(kubelet, choice.request, window=WINDOW) as items:
        try:
            async with asyncio.timeout(_OPENED_WITHIN_S):
                first = await anext(items)
        except (AskError, TimeoutError) as error:
            raise InternalError(f"the kubelet of node {node} does not answer: {error}") from None
        socket = web.WebSocketResponse(
            protocols=channels.SUBPROTOCOLS, compress=False, max_msg_size=_MESSAGE_BYTES_MAX, timeout=1.0
        )
        await socket.prepare(request)
        await Session(context, kubelet, socket, items, choice).run(first)
    return socket


class Session:
    """One command and one client, from the first item to the last."""

    def __init__(
        self, context: Context, kubelet: Ref, socket: web.WebSocketResponse, items: Stream[ExecItem], choice: Choice
    ) -> None:
        self._context = context
        self._kubelet = kubelet
        self._socket = socket
        self._items = items
        self._choice = choice
        self._subprotocol = socket.ws_protocol or channels.V4
        self._name = ""

    async def run(self, first: ExecItem) -> None:
        """Returns when the command has ended, the client has left, or nobody has said anything for four hours."""
        self._name = first.session
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(IDLE_S) as idle:

                def busy() -> None:
                    idle.reschedule(loop.time() + IDLE_S)

                reading = asyncio.ensure_future(self._read_client(busy))
                try:
                    await self._write_client(first, busy)
                finally:
                    reading.cancel()
                    await asyncio.wait([reading])
        except TimeoutError:
            await self._socket.close(message=b"idle for too long")
        except (ConnectionError, Answer, AskError) as error:
            self._context.log.debug("an exec session broke off", error=repr(error))
        await self._socket.close()

    async def _write_client(self, item: ExecItem, busy: Callable[[], None]) -> None:
        shown = channels.STDOUT if self._choice.stdout else channels.STDERR if self._choice.stderr else channels.ERROR
        await self._send(shown, b"")  # clients wait for a first message to know that the session is there
        while not item.ended:
            if item.data and self._choice.shows(item.channel):
                await self._send(item.channel, item.data)
                busy()
            try:
                item = await anext(self._items)
            except StopAsyncIteration:
                return  # closed from here: the client has left
            except (Answer, AskError) as error:
                item = ExecItem(ended=True, error=f"the node does not answer any more: {error}")
        await self._send(channels.ERROR, orjson.dumps(channels.ended(item.exit_code, item.error)))

    async def _read_client(self, busy: Callable[[], None]) -> None:
        """Until the client leaves, which ends the session, and with it the command."""
        try:
            async for message in self._socket:
                if message.type not in (WSMsgType.BINARY, WSMsgType.TEXT):
                    break
                busy()
                await self._take(channels.from_wire(self._subprotocol, message.data))
        except ValueError as error:
            self._context.log.info("a client's message has no meaning", error=str(error))
        except (Answer, AskError) as error:
            self._context.log.debug("input is not taken", error=repr(error))
        self._items.close()

    async def _take(self, frame: channels.Frame) -> None:
        if frame.channel == channels.STDIN:
            for start in range(0, len(frame.data), CHUNK_BYTES_MAX):
                await self._input(frame.data[start : start + CHUNK_BYTES_MAX])
        elif frame.channel == channels.RESIZE:
            width, height = _size(frame.data)
            await self._context.ask(self._kubelet, ResizeTerminal(self._name, width, height))
        elif frame.channel == channels.CLOSE and frame.data == bytes((channels.STDIN,)):
            await self._input(b"", last=True)

    async def _input(self, data: bytes, last: bool = False) -> None:
        if self._choice.stdin:
            await self._context.ask(self._kubelet, ExecInput(self._name, data, last), timeout_s=IDLE_S)

    async def _send(self, channel: int, data: bytes) -> None:
        message = channels.to_wire(self._subprotocol, channel, data)
        if isinstance(message, str):
            await self._socket.send_str(message)
        else:
            await self._socket.send_bytes(message)


def _size(data: bytes) -> tuple[int, int]:
    """`{"Width": 80, "Height": 24}`. Raises ValueError."""
    size = orjson.loads(data)
    if not isinstance(size, dict):
        raise ValueError("a terminal's size is an object")
    width, height = size.get("Width"), size.get("Height")
    if not (isinstance(width, int) and isinstance(height, int)):
        raise ValueError("a terminal's size has a Width and a Height")
    return max(0, min(width, _SIZE_MAX)), max(0, min(height, _SIZE_MAX))


def require_websocket(request: web.BaseRequest, what: str, subprotocols: tuple[str, ...]) -> None:
    """Raises SpdyNotServed or BadRequest."""
    upgrade = request.headers.get("Upgrade", "").strip().lower()
    if upgrade.startswith("spdy/"):
        raise SpdyNotServed(f"SPDY is not served: {what}")
    if upgrade != "websocket":
        raise BadRequest("Upgrade request required")
    offered = request.headers.get("Sec-WebSocket-Protocol", "")
    if offered and not any(name.strip() in subprotocols for name in offered.split(",")):
        raise BadRequest(f"unable to negotiate protocol: client offers {offered}, the server {subprotocols}")
