"""A client for benchmarks: the kubeconfig's address and certificate, and a session that reads answers to their end."""

from __future__ import annotations

import base64
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import yaml

JSON = {"Content-Type": "application/json"}


def tls_context(kubeconfig: Path, directory: Path) -> tuple[str, ssl.SSLContext]:
    """The server's address and a client context, from the kubeconfig."""
    config: dict[str, Any] = yaml.safe_load(kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    for name, data in (
        ("ca", cluster["certificate-authority-data"]),
        ("crt", user["client-certificate-data"]),
        ("key", user["client-key-data"]),
    ):
        (directory / name).write_bytes(base64.b64decode(data))
    context = ssl.create_default_context(cafile=directory / "ca")
    context.load_cert_chain(directory / "crt", directory / "key")
    return cluster["server"], context


class Session:
    """An HTTPS client that reads every answer to its end and fails on a refusal."""

    def __init__(self, session: aiohttp.ClientSession, server: str) -> None:
        self._session = session
        self._server = server

    async def __call__(self, method: str, path: str, body: object = None, headers: dict[str, str] = JSON) -> bytes:
        async with self._session.request(method, self._server + path, json=body, headers=headers) as response:
            data = await response.read()
            if response.status >= 300:
                raise RuntimeError(f"{method} {path}: {response.status} {data[:300]!r}")
            return data
