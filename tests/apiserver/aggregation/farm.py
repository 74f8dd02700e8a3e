"""An API server behind the API server that keeps what it is given: enough of Kubernetes' API for controllers."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import orjson
from aiohttp import web

from protocols.objects import Object, meta

GROUP = "fruit.example.com"
BASE = f"/apis/{GROUP}/v1"
APPLES, PEARS = f"apples.{GROUP}", f"pears.{GROUP}"
VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
Key = tuple[str, str, str]  # plural, namespace, name


class Farm:
    """Apples, which can be watched, and pears, which cannot. `refusing`: it answers 500 to everything."""

    def __init__(self) -> None:
        self.objects: dict[Key, Object] = {}
        self.asked: list[web.BaseRequest] = []
        self.refusing = False
        self.moving = 0  # how many updates find that somebody else was faster
        self.page = 2  # how many items a list has at most, whatever is asked for
        self._events: list[tuple[int, str, str, Object]] = []
        self._changed = asyncio.Event()
        self._revision = 100

    # -- what grows there -----------------------------------------------------------------------------------------

    def plant(self, name: str, namespace: str = "team", plural: str = "apples", **metadata: Any) -> Object:
        """It comes without a kind in lists, as items of lists may."""
        obj: Object = {"metadata": {"name": name, "namespace": namespace, "uid": f"{plural}-{name}", **metadata}}
        self._write("ADDED", (plural, namespace, name), obj)
        return {"apiVersion": f"{GROUP}/v1", "kind": "Apple", **obj}

    def names(self, plural: str = "apples") -> set[str]:
        return {name for kind, _, name in self.objects if kind == plural}

    def _write(self, type: str, key: Key, obj: Object) -> Object:
        self._revision += 1
        obj = copy.deepcopy(obj)
        obj["metadata"]["resourceVersion"] = str(self._revision)
        if type == "DELETED":
            del self.objects[key]
        else:
            self.objects[key] = obj
        self._events.append((self._revision, type, key[0], obj))
        self._tell()
        return obj

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    # -- what it answers ------------------------------------------------------------------------------------------

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        if self.refusing:
            return web.Response(status=500)
        if request.path == BASE:
            return web.json_response({"kind": "APIResourceList", "groupVersion": f"{GROUP}/v1", "resources": KINDS})
        if not request.path.startswith(f"{BASE}/"):
            return _status(404, "NotFound")
        self.asked.append(request)
        parts = request.path.removeprefix(f"{BASE}/").split("/")
        namespace, parts = (parts[1], parts[2:]) if parts[0] == "namespaces" else ("", parts)
        plural, name, action = [*parts, "", ""][:3]
        if request.query.get("watch"):
            return await self._watch(request, plural, namespace)
        body = orjson.loads(await request.read() or b"{}")
        if action:
            return web.json_response({"kind": "Eaten", "apiVersion": "x/v1", "of": name, **body}, status=201)
        if name:
            return self._one(request, (plural, namespace, name), body)
        if request.method == "POST":
            return self._create((plural, namespace, meta(body)["name"]), body, dry="dryRun" in request.query)
        return self._many(request, plural, namespace)

    def _create(self, key: Key, body: Object, *, dry: bool) -> web.Response:
        if key in self.objects:
            return _status(409, "AlreadyExists")
        return web.json_response(body if dry else self._write("ADDED", key, body), status=201)

    def _one(self, request: web.BaseRequest, key: Key, body: Object) -> web.Response:
        method, obj = request.method, self.objects.get(key)
        if obj is None:
            return _status(404, "NotFound")
        wanted = body.get("preconditions") or {} if method == "DELETE" else meta(body)
        if any(field in wanted and wanted[field] != meta(obj)[field] for field in ("uid", "resourceVersion")):
            return _status(409, "Conflict")
        if method == "DELETE":
            return web.json_response(self._delete(key))
        if method == "PUT" and "resourceVersion" not in wanted:
            return _status(422, "Invalid")
        if method == "PUT" and self.moving:
            self.moving -= 1
            self._write("MODIFIED", key, obj)
            return _status(409, "Conflict")
        if method == "PUT":
            obj = self._write("MODIFIED", key, body)
        if method == "PATCH":
            obj = self._patch(key, body)
        return web.json_response(obj)

    def _delete(self, key: Key) -> Object:
        obj = self.objects[key]
        if not meta(obj).get("finalizers"):
            self._write("DELETED", key, obj)
            return {"kind": "Status", "status": "Success"}
        return self._write("MODIFIED", key, {"metadata": {**meta(obj), "deletionTimestamp": "2026-01-01T00:00:00Z"}})

    def _patch(self, key: Key, body: Object) -> Object:
        metadata = {name: value for name, value in {**meta(self.objects[key]), **meta(body)}.items() if value}
        ended = metadata.get("deletionTimestamp") and not metadata.get("finalizers")
        return self._write("DELETED" if ended else "MODIFIED", key, {"metadata": metadata})

    def _many(self, request: web.BaseRequest, plural: str, namespace: str) -> web.Response:
        keys = sorted(key for key in self.objects if key[0] == plural and namespace in ("", key[1]))
        if request.method == "DELETE":
            for key in keys:
                self._delete(key)
            return web.json_response({"kind": "Status", "status": "Success"})
        start = int(request.query.get("continue") or 0)
        page = keys[start : start + self.page]
        more = {"continue": str(start + self.page)} if start + self.page < len(keys) else {}
        metadata = {"resourceVersion": str(self._revision), **more}
        return web.json_response({"kind": "List", "metadata": metadata, "items": [self.objects[key] for key in page]})

    async def _watch(self, request: web.BaseRequest, plural: str, namespace: str) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        after = int(request.query["resourceVersion"])
        while not self.refusing:
            changed = self._changed
            for revision, type, kind, obj in self._events:
                if revision > after and kind == plural and namespace in ("", meta(obj)["namespace"]):
                    await response.write(orjson.dumps({"type": type, "object": obj}) + b"\n")
                after = max(after, revision)
            await changed.wait()
        return response

    def hang_up(self) -> None:
        """From now on it refuses, and who watches hears no more of it."""
        self.refusing = True
        self._tell()


def _status(code: int, reason: str) -> web.Response:
    body = {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": reason}
    return web.json_response(body, status=code)


KINDS: list[Object] = [
    {"name": "apples", "singularName": "apple", "namespaced": True, "kind": "Apple", "verbs": VERBS},
    {"name": "apples/status", "singularName": "", "namespaced": True, "kind": "Apple", "verbs": ["get"]},
    {"name": "pears", "singularName": "pear", "namespaced": True, "kind": "Pear", "verbs": ["delete", "get", "list"]},
    {"name": "seasons", "singularName": "season", "namespaced": False, "kind": "Season", "verbs": ["get", "list"]},
]
