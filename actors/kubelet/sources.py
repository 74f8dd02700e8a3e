"""Reads for the kubelet what containers and volumes are made of: ConfigMaps, Secrets, and where the API server is.

The CA of a namespace is in nearly every pod's volumes and nearly never changes: it is read once a minute for all pods.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from actorkube.kube import Client
from actorkube.runtime import Context
from actors.kubelet import api_env
from actors.kubelet.env import ConfigError, Contents, Source, source_data
from protocols.errors import Answer, AskError, NotFound
from protocols.objects import Object

_SHARED = ("configmaps", "kube-root-ca.crt")
_SHARED_S = 60.0
_SHARED_MAX = 1024
_FIRST_PORT = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")

Data = Mapping[str, bytes]


class Sources:
    def __init__(self, ctx: Context, client: Client) -> None:
        self._ctx = ctx
        self._client = client
        self._shared: dict[str, tuple[float, Data]] = {}  # by namespace, with when it was read
        self._api_env: Mapping[str, str] = {}

    async def read(self, sources: Iterable[Source], namespace: str) -> Contents:
        """What the ConfigMaps and Secrets contain; None for one that does not exist. Raises ConfigError."""
        contents: dict[tuple[str, str], Data | None] = {}
        for source in dict.fromkeys((source.resource, source.name) for source in sources):
            known = self._known(namespace) if source == _SHARED else None
            contents[source] = known or await self._data(*source, namespace)
        return contents

    async def api_env(self) -> Mapping[str, str]:
        """The variables by which containers find the API server; asked for until they are known."""
        if not self._api_env:
            try:
                service = await self._client.get("services", api_env.NAME, api_env.NAMESPACE)
                endpoints = await self._client.get("endpoints", api_env.NAME, api_env.NAMESPACE)
            except NotFound:
                return {}
            except (Answer, AskError) as error:
                raise ConfigError("services have not yet been read at least once, cannot construct envvars") from error
            self._api_env = api_env.api_env(service, endpoints, _may_listen_below_1024())
        return self._api_env

    def _known(self, namespace: str) -> Data | None:
        read_at, data = self._shared.get(namespace, (-_SHARED_S, {}))
        return data if self._ctx.now - read_at < _SHARED_S else None

    async def get(self, resource: str, name: str, namespace: str = "") -> Object | None:
        """None: there is no such object. Raises ConfigError when that cannot be known."""
        try:
            return await self._client.get(resource, name, namespace)
        except NotFound:
            return None
        except (Answer, AskError) as error:
            raise ConfigError(f"{resource} {name} cannot be read: {error}") from error

    async def _data(self, resource: str, name: str, namespace: str) -> Data | None:
        found = await self.get(resource, name, namespace)
        if found is None:
            return None
        data = source_data(found)
        if (resource, name) == _SHARED:
            if len(self._shared) >= _SHARED_MAX:
                self._shared.clear()
            self._shared[namespace] = self._ctx.now, data
        return data


def _may_listen_below_1024() -> bool:
    """Whether the node's proxy can, by Linux' setting or as root."""
    try:
        return os.geteuid() == 0 or int(_FIRST_PORT.read_text()) == 0
    except (OSError, ValueError):
        return False
