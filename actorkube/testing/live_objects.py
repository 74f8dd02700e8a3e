"""Objects of a live cluster by kubectl's names, over REST: what the `cluster` fixture has, for whoever needs no client.

Each call is a connection of its own, so a test may kill the API server between two of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from actorkube.cli.api import Api
from actorkube.cli.composition import composition
from actorkube.testing.manifests import Manifest, objects_in
from actorkube.testing.resources import Resource, Resources, Target, UnknownResource, defined
from protocols.api import PatchType
from protocols.errors import NotFound
from protocols.objects import Object, namespace_of

T = TypeVar("T")

FIELD_MANAGER = "actorkube-testing"
PATCHES: dict[PatchType, str] = {
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}


class LiveObjects:
    """Refusals are raised as protocols.errors.NotFound, Invalid, ...; CliError where the API server does not answer."""

    def __init__(self, kubeconfig: Path) -> None:
        self._kubeconfig = kubeconfig
        self._resources = Resources(composition().api_resources())

    def apply(self, manifest: Manifest, namespace: str) -> list[Object]:
        return [self.patch(obj, obj, "", namespace, "apply", "") for obj in objects_in(manifest)]

    def create(self, obj: Object, namespace: str) -> Object:
        resource = self._found(lambda: self._resources.of(obj))
        return self._ask("POST", _collection(resource, namespace_of(obj) or namespace), obj)

    def get(self, what: str | Object, name: str, namespace: str) -> Object:
        return self._ask("GET", self._path(self._target(what, name, namespace)))

    def list(self, resource: str, namespace: str, labels: str, fields: str) -> Iterable[Object]:
        found = self._found(lambda: self._resources.named(resource))
        words = {"labelSelector": labels, "fieldSelector": fields}
        query = urlencode({word: value for word, value in words.items() if value})
        listed = self._ask("GET", f"{_collection(found, namespace)}?{query}")["items"]
        head = {"apiVersion": found.api_version, "kind": found.kind}  # which the list says of all of them
        return ({**head, **item} for item in listed)

    def patch(
        self, what: str | Object, patch: Any, name: str, namespace: str, type: PatchType, subresource: str
    ) -> Object:
        path = self._path(self._target(what, name, namespace)) + (f"/{subresource}" if subresource else "")
        query = f"fieldManager={FIELD_MANAGER}" + ("&force=true" if type == "apply" else "")
        return self._ask("PATCH", f"{path}?{query}", patch, PATCHES[type])

    def delete(self, what: str | Object, name: str, namespace: str, grace_s: int) -> None:
        options: Object = {"propagationPolicy": "Background"}  # as kubectl does
        if grace_s >= 0:
            options["gracePeriodSeconds"] = grace_s
        try:
            self._ask("DELETE", self._path(self._target(what, name, namespace)), options)
        except NotFound:
            return

    # -- where they are -------------------------------------------------------------------------------------------

    def _target(self, what: str | Object, name: str, namespace: str) -> Target:
        return self._found(lambda: self._resources.target(what, name, namespace))

    def _path(self, target: Target) -> str:
        resource = self._resources.named(target.resource)
        return f"{_collection(resource, target.namespace)}/{quote(target.name, safe='')}"

    def _found(self, look: Callable[[], T]) -> T:
        """What is not known may have been defined since the last look. Raises UnknownResource."""
        try:
            return look()
        except UnknownResource:
            for definition in self.list("customresourcedefinitions.apiextensions.k8s.io", "", "", ""):
                self._resources.add([*defined(definition)])
            return look()

    def _ask(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Object:
        data = None if body is None else json.dumps(body).encode()
        with Api(str(self._kubeconfig)) as api:
            answer: Object = json.loads(api.send(method, path, data, {"Content-Type": kind}))
        return answer


def _collection(resource: Resource, namespace: str) -> str:
    root = f"/apis/{resource.api_version}" if "/" in resource.api_version else f"/api/{resource.api_version}"
    place = f"/namespaces/{quote(namespace, safe='')}" if resource.namespaced and namespace else ""
    return f"{root}{place}/{resource.plural}"
