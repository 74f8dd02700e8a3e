"""HTTP and TCP probes over real sockets, with a deadline. The words of failures are the kubelet's own."""

from __future__ import annotations

import asyncio
import contextlib
import ssl

from actorkube.runtime.real_time import real_time
from protocols.cri import NetworkProbeResult, ProbeNetwork

_HEAD_BYTES_MAX = 64 * 1024


async def probe_network(probe: ProbeNetwork, ip: str) -> NetworkProbeResult:
    host = probe.host or ip
    what = f"dial tcp {host}:{probe.port}"
    if probe.scheme != "tcp":
        what = f'Get "{probe.scheme}://{host}:{probe.port}{probe.path}": {what}'
    try:
        with real_time(what, probe.timeout_s):
            async with asyncio.timeout(probe.timeout_s):
                return await _connect(probe, host)
    except TimeoutError:
        return NetworkProbeResult(False, f"{what}: i/o timeout (after {probe.timeout_s:g}s)")
    except ConnectionRefusedError:
        return NetworkProbeResult(False, f"{what}: connect: connection refused")
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
        return NetworkProbeResult(False, f"{what}: {error}")


async def _connect(probe: ProbeNetwork, host: str) -> NetworkProbeResult:
    context = _unverified() if probe.scheme == "https" else None
    reader, writer = await asyncio.open_connection(host, probe.port, ssl=context, limit=_HEAD_BYTES_MAX)
    try:
        if probe.scheme == "tcp":
            return NetworkProbeResult(True)
        writer.write(_request(probe, host))
        return _judge(await reader.readuntil(b"\r\n"))
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def _request(probe: ProbeNetwork, host: str) -> bytes:
    headers = {"host": ("Host", f"{host}:{probe.port}"), "user-agent": ("User-Agent", "kube-probe/1.33")}
    headers |= {"accept": ("Accept", "*/*"), "connection": ("Connection", "close")}
    headers |= {name.lower(): (name, value) for name, value in probe.headers}
    lines = [f"GET {probe.path or '/'} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.values())]
    return "\r\n".join([*lines, "", ""]).encode()


def _judge(status_line: bytes) -> NetworkProbeResult:
    parts = status_line.split(None, 2)
    if len(parts) < 2 or not parts[0].startswith(b"HTTP/"):
        return NetworkProbeResult(False, f"the answer is not HTTP: {status_line[:80]!r}")
    code = int(parts[1])
    return NetworkProbeResult(200 <= code < 400, f"HTTP probe failed with statuscode: {code}")


def _unverified() -> ssl.SSLContext:
    """Probes do not verify certificates, as Kubernetes' do not."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
