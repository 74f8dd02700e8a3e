"""`kubectl exec` and `attach`: a client's wire on one side, a session with the kubelet of the pod's node on the other.

What can be refused is refused before the wire begins, as a Status. From then on two pumps run: the session's stream
into the wire, one item after another, so that a client that does not read stops the command's output; and the wire
into the session, one request after another. The session ends with its stream, whatever the client does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import orjson
from aiohttp import web

from actorkube.runtime import Context, Ref, Stream
from actors.apiserver.rest import channels
from actors.apiserver.rest.idle import idle_limit
from actors.apiserver.rest.logs import choose_container
from actors.apiserver.rest.wires import Wire, open_wire, require_wire
from protocols.errors import Answer, AskError, BadRequest, StatusError
from protocols.exec import (
    CHUNK_BYTES_MAX,
    IDLE_S,
    WINDOW,
    AttachToPod,
    ExecInPod,
    ExecInput,
    ExecItem,
    ResizeTerminal,
)
from protocols.objects import Object, name_of, namespace_of
from protocols.rules.pods import node_of

_OPENED_WITHIN_S = 30.0
_SIZE_MAX = 65_535


class Choice:
    """What is asked for: PodExecOptions, or PodAttachOptions for what runs already. Raises BadRequest."""

    def __init__(self, pod: Object, options: Object) -> None:
        wanted = {name: bool(options.get(name)) for name in ("stdin", "stdout", "stderr", "tty")}
        self.stdin, self.stdout, self.tty = wanted["stdin"], wanted["stdout"], wanted["tty"]
        self.stderr = wanted["stderr"] and not self.tty
        container = choose_container(pod, options.get("container") or "")
        if not node_of(pod):
            raise BadRequest(f"pod {name_of(pod)} does not have a host assigned")
        if not (self.stdin or self.stdout or self.stderr):
            raise BadRequest("you must specify at least 1 of stdin, stdout, stderr")
        attaches, command = options["kind"] == "PodAttachOptions", options.get("command")
        if not attaches and not command:
            raise BadRequest("you must specify at least one command for the container")
        at = namespace_of(pod), name_of(pod), container
        if attaches:
            self.request: ExecInPod | AttachToPod = AttachToPod(*at, self.stdin, self.tty)
        else:
            self.request = ExecInPod(*at, tuple(command or ()), self.stdin, self.tty)

    def shows(self, channel: int) -> bool:
        return (channel == channels.STDOUT and self.stdout) or (channel == channels.STDERR and self.stderr)

    @property
    def channels(self) -> set[int]:
        asked = {
            channels.STDIN: self.stdin,
            channels.STDOUT: self.stdout,
            channels.STDERR: self.stderr,
            channels.ERROR: True,
            channels.RESIZE: self.tty,
        }
        return {channel for channel, wanted in asked.items() if wanted}


async def run_exec(
    context: Context,
    request: web.BaseRequest,
    pod: Object,
    options: Object,
    unanswered: Callable[[str, Exception], StatusError],
) -> web.StreamResponse:
    choice, node = Choice(pod, options), node_of(pod)
    require_wire(request)
    kubelet = context.ref(f"{node}-kubelet/kubelet")
    async with context.stream(kubelet, choice.request, window=WINDOW) as items:
        try:
            async with asyncio.timeout(_OPENED_WITHIN_S):
                first = await anext(items)
        except (AskError, TimeoutError) as error:
            raise unanswered(node, error) from None
        wire = await open_wire(request, choice.channels)
        await Session(context, kubelet, wire, items, choice).run(first)
    return wire.response


class Session:
    """One command and one client, from the first item to the last."""

    def __init__(self, context: Context, kubelet: Ref, wire: Wire, items: Stream[ExecItem], choice: Choice) -> None:
        self._context = context
        self._kubelet = kubelet
        self._wire = wire
        self._items = items
        self._choice = choice
        self._name = ""

    async def run(self, first: ExecItem) -> None:
        """Returns when the command has ended, the client has left, or nobody has said anything for four hours."""
        self._name = first.session
        reason = ""
        try:
            async with idle_limit(IDLE_S) as busy:
                await self._run(first, busy)
        except TimeoutError:
            reason = "idle for too long"
        except (ConnectionError, Answer, AskError) as error:
            self._context.log.debug("an exec session broke off", error=repr(error))
        await self._wire.close(reason)

    async def _run(self, first: ExecItem, busy: Callable[[], None]) -> None:
        chosen = self._choice
        shown = channels.STDOUT if chosen.stdout else channels.STDERR if chosen.stderr else channels.ERROR
        if not await self._wire.begin(shown):
            return
        reading = asyncio.ensure_future(self._read_client(busy))
        try:
            await self._write_client(first, busy)
        finally:
            reading.cancel()
            await asyncio.wait([reading])

    async def _write_client(self, item: ExecItem, busy: Callable[[], None]) -> None:
        while not item.ended:
            if item.data and self._choice.shows(item.channel):
                await self._wire.send(item.channel, item.data)
                busy()
            try:
                item = await anext(self._items)
            except StopAsyncIteration:
                return  # closed from here: the client has left
            except (Answer, AskError) as error:
                item = ExecItem(ended=True, error=f"the node does not answer any more: {error}")
        await self._wire.send(channels.ERROR, orjson.dumps(channels.ended(item.exit_code, item.error)))

    async def _read_client(self, busy: Callable[[], None]) -> None:
        """Until the client leaves, which ends the session, and with it the command."""
        try:
            async for frame in self._wire.frames():
                busy()
                await self._take(frame)
        except ValueError as error:
            self._context.log.info("a client's message has no meaning", error=str(error))
        except (ConnectionError, Answer, AskError) as error:
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


def _size(data: bytes) -> tuple[int, int]:
    """`{"Width": 80, "Height": 24}`. Raises ValueError."""
    size = orjson.loads(data)
    if not isinstance(size, dict):
        raise ValueError("a terminal's size is an object")
    width, height = size.get("Width"), size.get("Height")
    if not (isinstance(width, int) and isinstance(height, int)):
        raise ValueError("a terminal's size has a Width and a Height")
    return max(0, min(width, _SIZE_MAX)), max(0, min(height, _SIZE_MAX))
