"""What the server says about itself: discovery, OpenAPI, version, health, and the list of its paths."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import orjson

from actorkube import __version__
from actorkube.kube.health import KINDS, report
from actorkube.kube.media_ranges import Range, accepted
from actorkube.kube.zpages import ZPages
from actors.apiserver.aggregation import documents as remote_documents
from actors.apiserver.aggregation.remotes import Remotes
from actors.apiserver.custom.served import Served
from actors.apiserver.rest.negotiate import JSON, PROTOBUF, YAML, Output, negotiate, negotiate_plainly
from actors.apiserver.rest.parts import Parts
from actors.apiserver.rest.render import Renderer, Reply
from actors.apiserver.schema import discovery
from actors.apiserver.schema.page import Page
from actors.apiserver.schema.resources import METRICS, Resource
from actors.apiserver.schema.types import Types
from actors.apiserver.tokens.discovery import DISCOVERY_PATH, KEYS_PATH, KEYS_TYPE
from actors.apiserver.tokens.discovery import discovery as discovery_of_tokens
from protocols.errors import NotAcceptable

if TYPE_CHECKING:
    from actors.apiserver.schema.openapi_v2 import OpenApiV2
    from actors.apiserver.schema.openapi_v3 import OpenApiV3
    from actors.apiserver.tokens.issuer import Issuer

_DISCOVERY_GROUP = "apidiscovery.k8s.io"
# Clients ask with an "@", which no media type may have; an answer under that name they cannot read themselves.
_GNOSTIC = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_GNOSTIC_NAMES = (_GNOSTIC, "application/com.github.proto-openapi.spec.v2@v1.0+protobuf")
_AS_JSON = (JSON, "application/*", "*/*")
_FORMS = {PROTOBUF: PROTOBUF, YAML: YAML}
_NOT_ACCEPTABLE = Reply(b"", 406, "", (("Vary", "Accept"),))
_TEXT = "text/plain; charset=utf-8"
_NO_SNIFF = (("X-Content-Type-Options", "nosniff"),)
_PUBLIC = ("Cache-Control", "public")
_OF_TOKENS = (("Cache-Control", "public, max-age=3600"),)
_HEALTH = tuple(f"{kind}/" for kind in KINDS)
# What is there once the API is open, by the names of what makes it in Kubernetes.
_MADE_FIRST = tuple(
    f"poststarthook/{name}"
    for name in (
        "crd-informer-synced",
        "start-system-namespaces-controller",
        "storage-readiness",
        "rbac/bootstrap-roles",
        "scheduling/bootstrap-system-priority-classes",
        "priority-and-fairness-config-producer",
        "bootstrap-controller",
        "start-kubernetes-service-cidr-controller",
    )
)
_ROOTS = ("/api", "/apis")
_SLIS_PATH = "/metrics/slis"
_PATHS = (
    _SLIS_PATH,
    "/api",
    "/api/v1",
    "/apis",
    "/metrics",
    "/openapi/v2",
    "/openapi/v3",
    "/version",
    DISCOVERY_PATH,
    KEYS_PATH,
)


class Documents:
    """`serving` says whether the API is open: the store is reachable and the cluster's first objects exist."""

    def __init__(
        self,
        types: Types,
        served: Served,
        address: str,
        serving: Callable[[], bool],
        store_answers: Callable[[], Awaitable[bool]],
        issuer: Issuer | None,
        remotes: Remotes,
        zpages: ZPages,
        now: Callable[[], float],
    ) -> None:
        self._zpages = zpages
        self._now = now
        self._remotes = remotes
        self._issuer = issuer
        self._types = types
        self._served = served
        self._address = address
        self._serving = serving
        self._store_answers = store_answers
        self._building = asyncio.Lock()

    async def find(
        self, path: str, accept: str, verbose: bool, renderer: Renderer, excluded: Sequence[str] = ()
    ) -> Reply | None:
        """The document at a path; None when there is none. `excluded` are checks of health that do not count."""
        if path.startswith(_HEALTH) or path in KINDS:
            return await self._health(path, verbose, excluded)
        if path == _SLIS_PATH:
            return await self._slis()
        if path in (DISCOVERY_PATH, KEYS_PATH):
            return self._of_tokens(path)
        if path.startswith("/openapi/"):
            return await self._openapi(path, accept)
        if path.startswith(("/api/", "/apis/")) or path in _ROOTS:
            return self._discovery(path.removesuffix("/"), accept, renderer)
        if path.rstrip("/") == "/version":
            return renderer.document(discovery.version_document(self._types.version, __version__))
        if path in ("/", "/index.html"):
            return renderer.document({"paths": self._paths()})
        page = self._zpages.find(path, accept, self._now(), self._paths())
        return Reply(page.body, content_type=page.content_type) if page is not None else None

    def output(self, path: str, accept: str) -> Output:
        """In which form the document at a path is shown. Raises NotAcceptable."""
        path = path.removesuffix("/")
        if not f"{path}/".startswith(("/api/", "/apis/")):
            try:
                return Output(negotiate(accept).media_type)
            except NotAcceptable:
                return Output()  # it has media types of its own
        if path in _ROOTS and (wanted := _aggregated_form(accept)) is not None:
            return Output(wanted[0])
        return negotiate_plainly(accept, listed=self.is_fixed(path))

    def is_fixed(self, path: str) -> bool:
        """Whether Kubernetes has a route for what is there, and neither lists groups nor resources of definitions."""
        parts = path.strip("/").split("/")
        return parts[0] == "api" or (parts[0] == "apis" and len(parts) > 2 and self.is_of_api(path))

    def is_of_api(self, path: str) -> bool:
        """Whether a client would expect a Status where there is nothing: below the core's path or that of a group that
        is Kubernetes' own. Below those of definitions there are plain words."""
        _, *parts = f"{path}///".split("/")
        return parts[0] == "api" or (
            parts[0] == "apis" and any(each.group == parts[1] and each.custom is None for each in self._resources())
        )

    def _paths(self) -> list[str]:
        versions = dict.fromkeys((resource.group, resource.version) for resource in self._resources())
        apis = [f"/apis/{group}/{version}" for group, version in versions if group]
        groups = [f"/apis/{group}" for group, _ in versions if group]
        checks = [f"{kind}/{check}" for kind in KINDS for check in self._checks(kind[1:])]
        return sorted(dict.fromkeys([*_PATHS, *groups, *apis, *KINDS, *checks, *self._zpages.paths]))

    def _of_tokens(self, path: str) -> Reply | None:
        if self._issuer is None:
            return None
        found = discovery_of_tokens(self._address) if path == DISCOVERY_PATH else self._issuer.keys()
        content_type = JSON if path == DISCOVERY_PATH else KEYS_TYPE
        return Reply(orjson.dumps(found), content_type=content_type, headers=_OF_TOKENS)

    # -- health ---------------------------------------------------------------------------------------------------

    async def _health(self, path: str, verbose: bool, excluded: Sequence[str]) -> Reply | None:
        kind, _, check = path[1:].partition("/")
        asks = not check or check.startswith("etcd")
        checks = self._checks(kind, store=await self._store_answers() if asks else False)
        found = report(path, checks, verbose, excluded)
        headers = () if check else _NO_SNIFF
        return Reply(found[1].encode(), found[0], _TEXT, headers) if found is not None else None

    async def _slis(self) -> Reply:
        """The same for Prometheus."""
        from actors.apiserver.rest.exposition import CONTENT_TYPE, health

        store = await self._store_answers()
        told = {kind[1:]: self._checks(kind[1:], store=store) for kind in KINDS}
        return Reply(health(told), content_type=CONTENT_TYPE)

    def _checks(self, kind: str, *, store: bool = False) -> dict[str, bool]:
        """By name. `store`: whether it answers, where that has been asked."""
        ready = kind == "readyz"
        checks = {"ping": True, "log": True, "etcd": store}
        if ready:
            checks |= {"etcd-readiness": store, "informer-sync": self._serving()}
        checks |= dict.fromkeys(_MADE_FIRST, self._serving())
        return checks | {"shutdown": True} if ready else checks

    # -- discovery ------------------------------------------------------------------------------------------------

    def _discovery(self, path: str, accept: str, renderer: Renderer) -> Reply | None:
        if path in _ROOTS:
            wanted = _aggregated_form(accept)
            if wanted is not None:
                media_type, version = wanted
                document = discovery.aggregated(self._resources(), path == "/api", version)
                if path == "/apis":
                    document = remote_documents.with_items(document, self._remotes.all(), self._remotes.said)
                reply = renderer.document(document)
                body = reply.body.whole() if isinstance(reply.body, Parts) else reply.body
                return _page(Page.of(body), discovery.aggregated_content_type(version, media_type), _PUBLIC)
        found = self._legacy(path.split("/")[1:])
        return renderer.document(found) if found is not None else None

    def _resources(self) -> Sequence[Resource]:
        return (*self._served.all(), *METRICS)

    def _legacy(self, parts: list[str]) -> discovery.Document | None:
        resources = self._resources()
        match parts:
            case ["api"]:
                return discovery.core_versions(self._address)
            case ["apis"]:
                return remote_documents.with_groups(discovery.group_list(resources), self._remotes.all())
            case ["api", version]:
                return discovery.resource_list(resources, "", version)
            case ["apis", group]:
                own = discovery.group(resources, group)
                return remote_documents.with_versions(own, group, self._remotes.all())
            case ["apis", group, version]:
                return discovery.resource_list(resources, group, version)
        return None

    # -- OpenAPI --------------------------------------------------------------------------------------------------

    async def _openapi(self, path: str, accept: str) -> Reply | None:
        """Built in a thread when first asked for: that takes long enough for a heartbeat to be missed."""
        async with self._building:
            self._served.all()  # compiled here, if need be: a thread must not
            return await asyncio.to_thread(self._openapi_page, path, accept)

    @cached_property
    def _openapi_v2(self) -> OpenApiV2:
        from actors.apiserver.schema.openapi_v2 import OpenApiV2

        return OpenApiV2(self._types, self._served)

    @cached_property
    def _openapi_v3(self) -> OpenApiV3:
        from actors.apiserver.schema.openapi_v3 import OpenApiV3

        return OpenApiV3(self._types, self._served)

    def _openapi_page(self, path: str, accept: str) -> Reply | None:
        types = [media.media_type for media in accepted(accept)]
        if path == "/openapi/v2":
            wanted = next((each for each in types if each in (*_GNOSTIC_NAMES, *_AS_JSON)), "")
            if not wanted:
                return _NOT_ACCEPTABLE
            if wanted in _GNOSTIC_NAMES:
                return _page(self._openapi_v2.protobuf(self._remotes.swaggers()), _GNOSTIC)
            return _page(self._openapi_v2.json(self._remotes.swaggers()), JSON)
        if path == "/openapi/v3":
            index = self._openapi_v3.index()
            return _page(remote_documents.with_pages(index, self._remotes.all(), self._remotes.said), JSON)
        name = path.removeprefix("/openapi/v3/")
        found = self._openapi_v3.document(name) if name != path else None
        if found is None:
            return None
        return _page(found, JSON) if not {*types}.isdisjoint(_AS_JSON) else _NOT_ACCEPTABLE


def _page(page: Page, content_type: str, *headers: tuple[str, str]) -> Reply:
    return Reply(page.body, content_type=content_type, headers=(("ETag", page.etag), ("Vary", "Accept"), *headers))


def _aggregated_form(accept: str) -> tuple[str, discovery.AggregatedVersion] | None:
    """Its media type and version, for whoever wants to know all in one document, however much he would like others."""
    ranges = accepted(accept)
    for media in ranges:
        if _is_aggregated(media, "v2"):
            return _FORMS.get(media.media_type, JSON), "v2"
    for media in ranges:  # of what came before, only until there is something else that would do
        if _is_aggregated(media, "v2beta1"):
            return _FORMS.get(media.media_type, JSON), "v2beta1"
        if media.media_type in _AS_JSON and "as" not in media.params:
            return None
    return None


def _is_aggregated(media: Range, version: str) -> bool:
    params = media.params
    return (params.get("as"), params.get("g"), params.get("v")) == ("APIGroupDiscoveryList", _DISCOVERY_GROUP, version)
