"""Which requests the API answers, in terms that both OpenAPI versions can be written from.

kubectl looks here for two things: whether a kind's PATCH takes `fieldValidation` and `dryRun`, and which kind a path
serves (explain). Whoever makes a client of it takes the rest: ids and tags become the names of functions and classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from actors.apiserver.schema.openapi_parameters import (
    DELETE,
    FORCE,
    LIST,
    NAMESPACE,
    OF_SUBRESOURCES,
    PATH,
    PRETTY,
    RESOURCE_VERSION,
    WATCH,
    WRITE,
    Parameter,
    name_of,
)
from actors.apiserver.schema.resources import (
    CONNECTING,
    Resource,
    is_told_when_deleted,
    subresource_kind,
    subresource_verbs,
)

GroupVersionKind = tuple[str, str, str]

_JSON, _YAML, _PROTOBUF = "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"
_OWN, _CUSTOM, _ANY = (_JSON, _YAML, _PROTOBUF), (_JSON, _YAML), ("*/*",)
_STREAMED = (*_OWN, f"{_JSON};stream=watch", f"{_PROTOBUF};stream=watch")
_PATCHES = ("application/json-patch+json", "application/merge-patch+json")
# kubectl chooses its patch by what is listed here.
_OWN_PATCHES = (*_PATCHES, "application/strategic-merge-patch+json", "application/apply-patch+yaml")
_CUSTOM_PATCHES = (*_PATCHES, "application/apply-patch+yaml")
_STATUS, _DELETE_OPTIONS, _PATCH = ("", "v1", "Status"), ("", "v1", "DeleteOptions"), ("", "v1", "Patch")
_WATCH_EVENT = ("", "v1", "WatchEvent")
_WATCHING = (*LIST, WATCH)
_OK, _CREATED, _ACCEPTED = 200, 201, 202
_INSTEAD = "deprecated: use the 'watch' parameter with a list operation instead"
_PROXIED = ("get", "put", "post", "delete", "options", "head", "patch")
SAID = {_OK: "OK", _CREATED: "Created", _ACCEPTED: "Accepted"}
BEARER = {"type": "apiKey", "description": "Bearer Token authentication", "name": "authorization", "in": "header"}
# What an answer without a kind of its own is.
TEXT: GroupVersionKind = ("", "", "")


@dataclass(frozen=True, slots=True)
class Operation:
    """One method on one path. `kind` is None for documents; `takes` for what has no body."""

    method: str
    action: str
    id: str
    tag: str
    description: str
    kind: GroupVersionKind | None
    answer: GroupVersionKind
    consumes: Sequence[str]
    produces: Sequence[str]
    codes: Sequence[int] = (_OK,)
    takes: GroupVersionKind | None = None
    parameters: Sequence[Parameter] = ()

    @property
    def needs_body(self) -> bool:
        return self.takes is not None and self.takes != _DELETE_OPTIONS


@dataclass(frozen=True, slots=True)
class Path:
    """A path with its placeholders, what can be done there, and what all of that takes."""

    template: str
    operations: tuple[Operation, ...]
    parameters: tuple[Parameter, ...] = ()

    @classmethod
    def of(cls, template: str, operations: Iterable[Operation], parameters: Iterable[Parameter] = ()) -> Path:
        """What each of the operations takes is said once."""
        operations = tuple(operations)
        shared = set.intersection(*(set(operation.parameters) for operation in operations))
        return cls(
            template, operations, tuple(sorted({*shared, *parameters}, key=lambda each: (each.name, each.where)))
        )

    def own(self, operation: Operation) -> list[Parameter]:
        """What an operation takes that others do not."""
        return [each for each in operation.parameters if each not in self.parameters]


# -- resources --------------------------------------------------------------------------------------------------------


def paths_of(resource: Resource) -> Iterator[Path]:
    """All paths of a resource: its collection, its items, their subresources, and the list over all namespaces; and
    of built-in ones, as Kubernetes does it, those at which they were watched before a list had a parameter for that."""
    return _Paths(resource).all()


class _Paths:
    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        self._kind = (resource.group, resource.version, resource.kind)
        self._is_custom = resource.custom is not None
        self._root = f"/apis/{resource.api_version}" if resource.group else f"/api/{resource.version}"
        group = tag_of(resource.group)
        version = identifier(resource.version, capital=False)
        self._tag = f"{group}_{version}"
        self._in_id = f"{identifier(group)}{identifier(version)}"
        self._at = (NAMESPACE, PRETTY) if resource.namespaced else (PRETTY,)
        self._within = "Namespaced" if resource.namespaced else ""
        self._everywhere = "ForAllNamespaces" if resource.namespaced else ""
        self._produces = _CUSTOM if self._is_custom else _OWN
        self._consumes = _CUSTOM if self._is_custom else _ANY

    def all(self) -> Iterator[Path]:
        resource, collection = self._resource, f"{self._root}/{self._resource.plural}"
        if resource.namespaced:
            if "list" in resource.verbs:
                yield Path.of(collection, [self._list(f"{resource.kind}{self._everywhere}")], [PRETTY])
            collection = f"{self._root}/namespaces/{{namespace}}/{resource.plural}"
        yield Path.of(collection, self._of_collection(), self._at)
        if "get" in resource.verbs:
            yield from self._below(f"{collection}/{{name}}")
        if "watch" in resource.verbs and not self._is_custom:
            yield from self._watched()

    def _of_collection(self) -> Iterator[Operation]:
        resource = self._resource
        if "list" in resource.verbs:
            yield self._list(f"{self._within}{resource.kind}")
        if "create" in resource.verbs:
            yield self._create(self._kind, f"create{_with_article(resource.kind)}", "")
        if "deletecollection" in resource.verbs:
            yield self._operation(
                "delete",
                "deletecollection",
                self._id("delete", f"Collection{self._within}{resource.kind}"),
                f"delete collection of {resource.kind}",
                answer=_STATUS,
                takes=None if self._is_custom else _DELETE_OPTIONS,
                parameters=_WATCHING if self._is_custom else (*LIST[1:], *DELETE),  # a deletion has no bookmarks
            )

    def _list(self, named: str) -> Operation:
        resource = self._resource
        group, version, kind = self._kind
        watched = "watch" in resource.verbs and not self._is_custom
        return self._operation(
            "get",
            "list",
            self._id("list", named),
            f"list{' or watch' * watched} objects of kind {kind}",
            answer=(group, version, resource.list_kind),
            produces=_CUSTOM if self._is_custom else _STREAMED,
            parameters=_WATCHING,
        )

    def _below(self, item: str) -> Iterator[Path]:
        resource = self._resource
        yield Path.of(item, self._of_item(resource.verbs), [*self._at, name_of(resource.kind)])
        for name in resource.subresources:
            kind = subresource_kind(resource, name)
            path, at = f"{item}/{name}", [*self._at, name_of(resource.kind if self._is_custom else kind[2])]
            if name in CONNECTING:
                at = [*at, *OF_SUBRESOURCES[name]]
                at.remove(PRETTY)
                yield Path.of(path, self._connected(name, kind), at)
                if name == "proxy":
                    yield Path.of(f"{path}/{{path}}", self._connected(name, kind, "WithPath"), [*at, PATH])
            else:
                yield Path.of(path, self._of_subresource(name, kind), [*at, *OF_SUBRESOURCES.get(name, ())])

    def _of_item(self, verbs: Sequence[str]) -> Iterator[Operation]:
        kind = self._resource.kind
        yield from self._read_and_changed(self._kind, verbs, "")
        if "delete" in verbs:
            yield self._operation(
                "delete",
                "delete",
                self._id("delete", f"{self._within}{kind}"),
                f"delete{_with_article(kind)}",
                answer=self._kind if is_told_when_deleted(self._resource) else _STATUS,
                codes=(_OK, _ACCEPTED),
                takes=_DELETE_OPTIONS,
                parameters=DELETE,
            )

    def _of_subresource(self, name: str, kind: GroupVersionKind) -> Iterator[Operation]:
        verbs = subresource_verbs(name)
        if "create" in verbs:
            yield self._create(kind, f"create {name} of{_with_article(self._resource.kind)}", name)
        yield from self._read_and_changed(kind, verbs, name)

    def _read_and_changed(self, kind: GroupVersionKind, verbs: Sequence[str], name: str) -> Iterator[Operation]:
        resource = self._resource
        said = self._kind if self._is_custom else kind  # also where a subresource speaks another one
        named = f"{self._within}{resource.kind}{name.capitalize()}"
        what = f"{f'{name} of ' if name else ''}the specified {resource.kind}"
        if "get" in verbs:
            is_log = name == "log"
            yield self._operation(
                "get",
                "get",
                self._id("read", named),
                f"read {what}",
                kind=said,
                answer=TEXT if is_log else kind,
                produces=("text/plain", *_OWN) if is_log else self._produces,
                parameters=(RESOURCE_VERSION,) if self._is_custom else (),
            )
        written = {"kind": said, "answer": kind}
        if "update" in verbs:
            yield self._operation(
                "put",
                "put",
                self._id("replace", named),
                f"replace {what}",
                codes=(_OK, _CREATED),
                takes=kind,
                parameters=WRITE,
                **written,
            )
        if "patch" in verbs:
            yield self._operation(
                "patch",
                "patch",
                self._id("patch", named),
                f"partially update {what}",
                codes=(_OK,) if self._is_custom else (_OK, _CREATED),
                takes=_PATCH,
                consumes=_CUSTOM_PATCHES if self._is_custom else _OWN_PATCHES,
                parameters=(*WRITE, FORCE),
                **written,
            )

    def _create(self, kind: GroupVersionKind, description: str, name: str) -> Operation:
        return self._operation(
            "post",
            "post",
            self._id("create", f"{self._within}{self._resource.kind}{name.capitalize()}"),
            description,
            kind=kind,
            answer=kind,
            codes=(_OK, _CREATED, _ACCEPTED),
            takes=kind,
            parameters=WRITE,
        )

    def _connected(self, name: str, kind: GroupVersionKind, suffix: str = "") -> Iterator[Operation]:
        of = self._resource.kind
        for method in _PROXIED if name == "proxy" else ("get", "post"):
            yield self._operation(
                method,
                "connect",
                self._id("connect", f"{method.capitalize()}{self._within}{of}{name.capitalize()}{suffix}"),
                f"connect {method.upper()} requests to {name} of {of}",
                kind=kind,
                answer=TEXT,
                produces=_ANY,
            )

    def _watched(self) -> Iterator[Path]:
        resource, root = self._resource, f"{self._root}/watch"
        kind = resource.kind
        everywhere: tuple[Parameter, ...] = (PRETTY,)
        collections = [(f"{root}/{resource.plural}", f"{kind}List{self._everywhere}", everywhere)]
        if resource.namespaced:
            within = f"{root}/namespaces/{{namespace}}/{resource.plural}"
            collections.append((within, f"{self._within}{kind}List", self._at))
        for path, named, at in collections:
            several = f"watch individual changes to a list of {kind}. {_INSTEAD}."
            yield Path.of(path, [self._watching("watchlist", named, several)], at)
        one = f"watch changes to an object of kind {kind}. {_INSTEAD}, filtered to a single item with the"
        single = self._watching("watch", f"{self._within}{kind}", f"{one} 'fieldSelector' parameter.")
        yield Path.of(f"{collections[-1][0]}/{{name}}", [single], [*self._at, name_of(kind)])

    def _watching(self, action: str, named: str, description: str) -> Operation:
        return self._operation(
            "get",
            action,
            self._id("watch", named),
            description,
            answer=_WATCH_EVENT,
            produces=_STREAMED,
            parameters=_WATCHING,
        )

    def _id(self, verb: str, named: str) -> str:
        return f"{verb}{self._in_id}{identifier(named)}"

    def _operation(
        self,
        method: str,
        action: str,
        id: str,
        description: str,
        *,
        answer: GroupVersionKind,
        kind: GroupVersionKind | None = None,
        codes: Sequence[int] = (_OK,),
        takes: GroupVersionKind | None = None,
        consumes: Sequence[str] = (),
        produces: Sequence[str] = (),
        parameters: Sequence[Parameter] = (),
    ) -> Operation:
        return Operation(
            method,
            action,
            id,
            self._tag,
            description,
            kind or self._kind,
            answer,
            consumes or self._consumes,
            produces or self._produces,
            codes,
            takes,
            parameters,
        )


# -- documents --------------------------------------------------------------------------------------------------------


def name_of_document(resource: Resource) -> str:
    """That of its group version, in OpenAPI v3."""
    return f"apis/{resource.api_version}" if resource.group else f"api/{resource.version}"


def documents_of(resources: Iterable[Resource]) -> list[str]:
    """Of built-in resources: by the names that they have in OpenAPI v3."""
    names = list(_OF_NO_GROUP)
    for resource in resources:
        names += [f"apis/{resource.group}" if resource.group else "api", name_of_document(resource)]
    return list(dict.fromkeys(names))


def document_path(name: str) -> Path:
    """Where discovery tells of all groups, of one, or of one of its versions; or the server of itself."""
    if name in _OF_NO_GROUP:
        return _OF_NO_GROUP[name]
    root, group, version = (*name.split("/"), "", "")[:3]
    if root == "api":
        group, version = "", group
    tag = tag_of(group)
    if version:
        id = f"get{identifier(tag)}{identifier(version)}APIResources"
        tag = f"{tag}_{identifier(version, capital=False)}"
        return _page(f"/{name}/", id, tag, "get available resources", "APIResourceList")
    if group:
        return _page(f"/{name}/", f"get{identifier(tag)}APIGroup", tag, "get information of a group", "APIGroup")
    return _page("/api/", "getCoreAPIVersions", tag, _VERSIONS, "APIVersions")


def _page(
    template: str, id: str, tag: str, description: str, kind: str, media: Sequence[str] = _OWN, *, reads: bool = True
) -> Path:
    answer = ("", "v1", kind) if kind else TEXT
    return Path(template, (Operation("get", "", id, tag, description, None, answer, media if reads else (), media),))


_VERSIONS = "get available API versions"
_ISSUER = "get service account issuer OpenID"
_OF_NO_GROUP = {
    "apis": _page("/apis/", "getAPIVersions", "apis", _VERSIONS, "APIGroupList"),
    "version": _page(
        "/version/", "getCodeVersion", "version", "get the version information for this server", "Info", (_JSON,)
    ),
    ".well-known/openid-configuration": _page(
        "/.well-known/openid-configuration/",
        "getServiceAccountIssuerOpenIDConfiguration",
        "WellKnown",
        f"{_ISSUER} configuration, also known as the 'OIDC discovery doc'",
        "",
        (_JSON,),
        reads=False,
    ),
    "openid/v1/jwks": _page(
        "/openid/v1/jwks/",
        "getServiceAccountIssuerOpenIDKeyset",
        "openid",
        f"{_ISSUER} JSON Web Key Set (contains public token verification keys)",
        "",
        ("application/jwk-set+json",),
        reads=False,
    ),
}


# -- names ------------------------------------------------------------------------------------------------------------


def tag_of(group: str) -> str:
    """Of "rbac.authorization.k8s.io": rbacAuthorization."""
    return identifier(group.removesuffix(".k8s.io"), capital=False) if group else "core"


def identifier(text: str, *, capital: bool = True) -> str:
    """Letters, and digits behind them; what follows something else is a capital."""
    made = ""
    for character in text:
        if not (character.isalpha() or (made and character.isdigit())):
            capital = True
            continue
        made += character.upper() if capital else character
        capital = False
    return made


def _with_article(kind: str) -> str:
    """With a space before it; what is many has none."""
    if kind.endswith("s") and not kind.endswith("ss"):
        return f" {kind}"
    return f" {'an' if kind[0].lower() in 'aeiou' else 'a'} {kind}"
