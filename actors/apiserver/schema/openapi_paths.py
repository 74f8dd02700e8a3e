"""Which requests the API answers, in terms that both OpenAPI versions can be written from.

kubectl looks here for two things: whether a kind's PATCH takes `fieldValidation` and `dryRun`, and which kind a path
serves (explain). So every operation names its kind and its parameters.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from actors.apiserver.schema.resources import CONNECTING, Resource, subresource_kind, subresource_verbs

GroupVersionKind = tuple[str, str, str]
Parameter = tuple[str, str]  # name, JSON type

_WRITE: tuple[Parameter, ...] = (("dryRun", "string"), ("fieldManager", "string"), ("fieldValidation", "string"))
_LIST: tuple[Parameter, ...] = (
    ("allowWatchBookmarks", "boolean"),
    ("continue", "string"),
    ("fieldSelector", "string"),
    ("labelSelector", "string"),
    ("limit", "integer"),
    ("resourceVersion", "string"),
    ("resourceVersionMatch", "string"),
    ("sendInitialEvents", "boolean"),
    ("timeoutSeconds", "integer"),
    ("watch", "boolean"),
)
_DELETE: tuple[Parameter, ...] = (
    ("dryRun", "string"),
    ("gracePeriodSeconds", "integer"),
    ("orphanDependents", "boolean"),
    ("propagationPolicy", "string"),
)
_WATCH = tuple(parameter for parameter in _LIST if parameter[0] != "watch")
# verb -> (HTTP method, x-kubernetes-action, query parameters)
_COLLECTION_VERBS: dict[str, tuple[str, str, tuple[Parameter, ...]]] = {
    "list": ("get", "list", _LIST),
    "create": ("post", "post", _WRITE),
    "deletecollection": ("delete", "deletecollection", _LIST[:-1] + _DELETE),
}
_ITEM_VERBS: dict[str, tuple[str, str, tuple[Parameter, ...]]] = {
    "get": ("get", "get", ()),
    "create": ("post", "post", _WRITE),  # of a subresource
    "update": ("put", "put", _WRITE),
    "patch": ("patch", "patch", (*_WRITE, ("force", "boolean"))),
    "delete": ("delete", "delete", _DELETE),
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One method on one path."""

    method: str
    action: str
    kind: GroupVersionKind
    list: bool  # answers the list of the kind
    query: tuple[Parameter, ...]

    @property
    def answer(self) -> GroupVersionKind:
        """What comes back: the kind, a list of it, or events of a watch, one after the other."""
        group, version, kind = self.kind
        if self.action.startswith("watch"):
            return "", "v1", "WatchEvent"
        return (group, version, f"{kind}List") if self.action == "list" else self.kind

    @property
    def takes_body(self) -> bool:
        return self.method in ("post", "put")


@dataclass(frozen=True, slots=True)
class Path:
    """A path with its placeholders, and what can be done there."""

    template: str
    placeholders: tuple[str, ...]
    operations: tuple[Operation, ...]


def paths_of(resource: Resource) -> Iterator[Path]:
    """All paths of a resource: its collection, its items, their subresources, and the list over all namespaces; and
    of built-in ones, as Kubernetes does it, those at which they were watched before a list had a parameter for that."""
    root = f"/apis/{resource.api_version}" if resource.group else f"/api/{resource.version}"
    kind = (resource.group, resource.version, resource.kind)
    collection, placeholders = f"{root}/{resource.plural}", ()
    if resource.namespaced:
        if "list" in resource.verbs:
            yield Path(collection, (), _operations(kind, ("list",), _COLLECTION_VERBS))
        yield from _below(resource, kind, f"{root}/namespaces/{{namespace}}/{resource.plural}", ("namespace",))
    else:
        yield from _below(resource, kind, collection, placeholders)
    if "watch" in resource.verbs and resource.custom is None:
        yield from _watched(resource, kind, f"{root}/watch")


def _watched(resource: Resource, kind: GroupVersionKind, root: str) -> Iterator[Path]:
    collection = f"{root}/{resource.plural}"
    several = (Operation("get", "watchlist", kind, False, _WATCH),)
    yield Path(collection, (), several)
    at: tuple[str, ...] = ()
    if resource.namespaced:
        collection, at = f"{root}/namespaces/{{namespace}}/{resource.plural}", ("namespace",)
        yield Path(collection, at, several)
    yield Path(f"{collection}/{{name}}", (*at, "name"), (Operation("get", "watch", kind, False, _WATCH),))


def _below(resource: Resource, kind: GroupVersionKind, collection: str, at: tuple[str, ...]) -> Iterator[Path]:
    yield Path(collection, at, _operations(kind, resource.verbs, _COLLECTION_VERBS))
    if "get" not in resource.verbs:
        return
    item, at = f"{collection}/{{name}}", (*at, "name")
    verbs = tuple(verb for verb in resource.verbs if verb != "create")
    yield Path(item, at, _operations(kind, verbs, _ITEM_VERBS))
    for name in (each for each in resource.subresources if each not in CONNECTING):
        spoken = subresource_kind(resource, name)
        yield Path(f"{item}/{name}", at, _operations(spoken, subresource_verbs(name), _ITEM_VERBS))


def _operations(
    kind: GroupVersionKind, verbs: tuple[str, ...], known: dict[str, tuple[str, str, tuple[Parameter, ...]]]
) -> tuple[Operation, ...]:
    return tuple(
        Operation(method, action, kind, action in ("list", "deletecollection"), query)
        for verb, (method, action, query) in known.items()
        if verb in verbs
    )
