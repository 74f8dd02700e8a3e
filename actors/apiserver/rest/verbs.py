"""From an HTTP request about a resource to a call of the pipeline, and from its outcome to the answer."""

from __future__ import annotations

from functools import partial
from typing import Any

from aiohttp import web

from actorkube.runtime import Context
from actors.apiserver.access.attributes import name_selected
from actors.apiserver.answers import method_not_allowed
from actors.apiserver.audit.trail import Record
from actors.apiserver.callers import Caller
from actors.apiserver.calls import Call
from actors.apiserver.changes import Removed
from actors.apiserver.deletion import deletion_of, dry_run_of
from actors.apiserver.incoming import accept_options, check_named_again, nameless
from actors.apiserver.patch import manager_named
from actors.apiserver.pipeline import Pipeline, check_served
from actors.apiserver.reads import is_kept
from actors.apiserver.rest.audit import note_body, note_object, note_options
from actors.apiserver.rest.bodies import BODY_BYTES_MAX, decode_body, decode_patch, is_apply, is_patch
from actors.apiserver.rest.connect import CONNECTIONS, Connect
from actors.apiserver.rest.kubelets import unanswered
from actors.apiserver.rest.logs import check_options as check_log_options
from actors.apiserver.rest.logs import stream_log
from actors.apiserver.rest.negotiate import check_form
from actors.apiserver.rest.options import check_options
from actors.apiserver.rest.params import Params
from actors.apiserver.rest.paths import Target
from actors.apiserver.rest.render import Renderer, Reply, warning_headers
from actors.apiserver.rest.repeated import repeated
from actors.apiserver.rest.watch import RestWatch, watch_options
from actors.apiserver.schema.resources import is_told_when_deleted
from actors.apiserver.schema.strict import strict_problem, with_repeated
from protocols.errors import BadRequest, RequestEntityTooLarge
from protocols.objects import Object

Answer = Reply | web.StreamResponse

_NAMED_AGAIN = ("binding", "eviction")
_SUCCESS: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}


class Verbs:
    """One request about one target; `run` finds the verb."""

    def __init__(
        self,
        context: Context,
        pipeline: Pipeline,
        caller: Caller,
        target: Target,
        params: Params,
        renderer: Renderer,
        user_agent: str,
        record: Record | None = None,
    ) -> None:
        """`record`: what an audit writes of this request."""
        self._record = record
        self._target = target
        self._context = context
        self._pipeline = pipeline
        self._params = params
        self._renderer = renderer
        self.call = Call(
            caller,
            target.resource,
            target.namespace,
            target.name,
            target.subresource,
            manager=params.text("fieldManager") or manager_named(user_agent) or "unknown",
            dry_run=params.dry_run,
            force=params.flag("force"),
            validation=params.field_validation,
            shown=target.resource.custom is None and renderer.shows_json,
            options=params.options(),
        )
        if record is not None:
            self.call.annotations = record.annotations
            record.facts.version = target.resource.version

    async def run(self, request: web.BaseRequest) -> Answer:
        call = self.call
        if call.subresource in CONNECTIONS:
            connect = Connect(self._context, self._pipeline, call, self._renderer)
            verb = "get" if request.method in ("GET", "HEAD") else self._verb(request.method)
            return await connect.run(request, verb)
        content_type, verb = request.headers.get("Content-Type", ""), self._verb(request.method)
        check_served(call, verb)
        if request.method in ("PUT", "PATCH") and not call.name:
            raise method_not_allowed()
        check_options(verb, self._params, applies=is_apply(content_type), has_body=request.can_read_body)
        body = await read_body(request)
        if self._record is not None:
            note_body(self._record, body, content_type)
            if request.method in ("POST", "PUT"):
                self.call.sent = partial(note_object, self._record, self.call)
        match request.method:
            case "GET" | "HEAD":
                return await self._read(request)
            case "POST":
                return await self._create(self._decoded(body, content_type))
            case "PUT":
                return await self._update(self._decoded(body, content_type))
            case "PATCH":
                return await self._patch(body, content_type)
            case "DELETE":
                options = decode_body(body, content_type) if body else None
                if options is not None:
                    options = accept_options(self._pipeline.types, options)
                if options and self._record is not None:
                    note_options(self._record, options)
                return await self._delete(options)
        raise method_not_allowed()

    def _decoded(self, body: bytes, content_type: str) -> Any:
        decoded = decode_body(body, content_type)
        self._look_for_repeated(body, content_type, decoded)
        return decoded

    def _look_for_repeated(self, body: bytes, content_type: str, decoded: Any) -> None:
        """Who asks for strictness is refused what says something twice, with what else is wrong with it; who asks for
        nothing is warned of it. An apply is refused before anything else is looked at."""
        if self.call.validation == "Ignore":
            return
        self.call.repeated = repeated(body, content_type, decoded)
        self.call.patched = is_patch(content_type)
        if self.call.repeated and self.call.validation == "Strict" and is_apply(content_type):
            problem = strict_problem(self.call.repeated)
            raise BadRequest(f"error strict decoding YAML: error converting YAML to JSON: {problem}")

    @property
    def warnings(self) -> list[str]:
        if self.call.validation == "Strict":
            return self.call.warnings  # whoever said something twice was refused for it
        return with_repeated(self.call.warnings, self.call.repeated, patched=self.call.patched)

    def _warnings(self) -> list[tuple[str, str]]:
        return warning_headers(self.warnings)

    @property
    def _watches(self) -> bool:
        """By a parameter only what is a collection; one object by the old path."""
        return self._target.watches or (self._params.flag("watch") and not self.call.name)

    def _verb(self, method: str) -> str:
        """Kubernetes' verb for an HTTP method."""
        match method:
            case "GET" | "HEAD":
                return "watch" if self._watches else "get" if self.call.name else "list"
            case "DELETE":
                return "delete" if self.call.name else "deletecollection"
        return {"POST": "create", "PUT": "update", "PATCH": "patch"}.get(method, method.lower())

    # -- reading --------------------------------------------------------------------------------------------------

    async def _read(self, request: web.BaseRequest) -> Answer:
        call, params = self.call, self._params
        watches, of = self._watches, call.resource
        is_custom = of.custom is not None
        output = self._renderer.output
        check_form(output, of.group, of.kind, is_custom=is_custom, is_list=not call.name, watches=watches)
        if watches:
            return await self._watch(request)
        if call.subresource == "log":
            check_log_options(call.name, params)
            pod = (await self._pipeline.get(call)).object()
            return await stream_log(self._context, request, pod, params, partial(unanswered, self._pipeline))
        if call.name:
            return self._renderer.item(call.resource, await self._pipeline.get(call, params.revision))
        query = params.query()
        if self._renderer.writes_plainly and is_kept(call, query):
            kept = await self._pipeline.kept_list(call, query, self._renderer.form)
            return self._renderer.kept_list(kept, self._pipeline.reads.revision)
        return self._renderer.list(call.resource, await self._pipeline.list(call, query))

    async def _watch(self, request: web.BaseRequest) -> Answer:
        """A watch of one object is a watch of the collection, narrowed to its name."""
        if name_selected(self._params.text("fieldSelector")) not in ("", self.call.name) and self.call.name:
            raise BadRequest("fieldSelector metadata.name doesn't match requested name")
        query = self._params.query(self.call.name)
        options = watch_options(self._params, self._context)
        return await RestWatch(self._pipeline, self.call, query, options, self._renderer).run(request)

    # -- writing --------------------------------------------------------------------------------------------------

    async def _create(self, body: Any) -> Reply:
        call = self.call
        if call.name and not call.subresource:
            raise method_not_allowed()
        if call.subresource in _NAMED_AGAIN:
            check_named_again(call, body)
        item = await self._pipeline.create(call, body)
        if call.subresource in ("binding", "eviction") or call.resource.plural == "bindings":
            return self._renderer.document({**_SUCCESS, "code": 201}, 201)
        return self._renderer.item(call.resource, item, 201, self._warnings())

    async def _update(self, body: Any) -> Reply:
        self._named()
        if isinstance(body, dict) and not (isinstance(body.get("metadata"), dict) and body["metadata"].get("name")):
            raise nameless(self.call.name)
        item = await self._pipeline.update(self.call, body)
        code = 201 if self.call.created else 200
        return self._renderer.item(self.call.resource, item, code, self._warnings())

    async def _patch(self, body: bytes, content_type: str) -> Reply:
        self._named()
        type, patch = decode_patch(body, content_type, custom=self.call.resource.custom is not None)
        self._look_for_repeated(body, content_type, patch)
        item = await self._pipeline.patch(self.call, type, patch)
        code = 201 if self.call.created else 200
        return self._renderer.item(self.call.resource, item, code, self._warnings())

    async def _delete(self, options: Object | None) -> Reply:
        """Who sends options says all of them there: the query does not count then."""
        call = self.call
        if options is None:
            deletion = self._params.deletion()
            call.options |= self._params.delete_options()
        else:
            deletion, call.dry_run = deletion_of(options), dry_run_of(options)
            call.options = {name: value for name, value in options.items() if name not in ("kind", "apiVersion")}
        if not call.name:
            query = self._params.query()
            return self._renderer.list(call.resource, await self._pipeline.delete_collection(call, query, deletion))
        removed = await self._pipeline.delete(call, deletion)
        if removed.gone and not is_told_when_deleted(call.resource):
            return self._gone(removed)
        return self._renderer.item(call.resource, removed.item)

    def _gone(self, removed: Removed) -> Reply:
        resource = self.call.resource
        uid = removed.item.object()["metadata"].get("uid", "")
        details = {"name": self.call.name, "group": resource.group, "kind": resource.plural, "uid": uid}
        kept = {key: value for key, value in details.items() if value}
        return self._renderer.document({**_SUCCESS, "details": kept})

    def _named(self) -> None:
        if not self.call.name:
            raise method_not_allowed()


async def read_body(request: web.BaseRequest, bytes_max: int = BODY_BYTES_MAX) -> bytes:
    """The body, refused as soon as it is known to be too large."""
    if not request.can_read_body:
        return b""
    refusal = RequestEntityTooLarge(f"Request entity too large: limit is {bytes_max}")
    if (request.content_length or 0) > bytes_max:
        raise refusal
    content, chunks, size = request.content, [], 0
    while not content.at_eof():  # most bodies come with their head, in one piece
        try:
            chunk = await content.readany()
        except web.RequestPayloadError as error:
            raise BadRequest(f"the object provided is unrecognized: {error}") from None
        size += len(chunk)
        if size > bytes_max:
            raise refusal
        chunks.append(chunk)
    return b"".join(chunks)
