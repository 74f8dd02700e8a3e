"""`kubectl port-forward`: each connection that a client forwards is a session of the kubelet of the pod's node.

Clients come in three ways: SPDY (kubectl to 1.30), SPDY inside a WebSocket (kubectl from 1.31), and channels of a
WebSocket (clients in Python).
"""

from __future__ import annotations

from aiohttp import web

from actorkube.runtime import Context
from actors.apiserver.rest import portforward_channels
from actors.apiserver.rest.portforward_streams import Forwards
from actors.apiserver.rest.upgrade import (
    SpdyConnection,
    Way,
    require_stream_protocol,
    tunnel,
    upgrade_to_spdy,
    wants_spdy,
)
from protocols.errors import BadRequest
from protocols.objects import Object, name_of
from protocols.rules.pods import node_of

_STREAMS = "portforward.k8s.io"
_TUNNEL = f"SPDY/3.1+{_STREAMS}"


async def run_portforward(
    context: Context, request: web.BaseRequest, pod: Object, options: Object
) -> web.StreamResponse:
    node = node_of(pod)
    if not node:
        raise BadRequest(f"pod {name_of(pod)} does not have a host assigned")
    kubelet = context.ref(f"{node}-kubelet/kubelet")
    if wants_spdy(request):
        way: Way = await upgrade_to_spdy(request, require_stream_protocol(request, (_STREAMS,)))
    elif _TUNNEL in request.headers.get("Sec-WebSocket-Protocol", ""):
        way = await tunnel(request, _TUNNEL)
    else:
        return await portforward_channels.run(context, request, pod, kubelet, options.get("ports") or [])
    await Forwards(context, kubelet, pod, SpdyConnection(way)).run()
    return way.response
