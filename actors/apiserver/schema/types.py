"""The structural types of API objects: which fields there are, of what kind, and how lists and maps merge.

They come from Kubernetes' own definitions, as the package `kubernetes-validate` carries them for each API version. The
one idea: nothing is decoded before somebody asks. Loading reads the file and remembers where each definition's bytes
are; a definition becomes a `Type` when a field is followed into it, and is then shared by everything that refers to it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal

import msgspec

from actors.apiserver.schema.protobuf import plain_fields
from actors.apiserver.schema.resources import Resource

# What is served unless somebody wants another version: whatever the installed kubernetes-validate carries.
DEFAULT_VERSION = "1.36"
OLDEST_VERSION = "1.27"  # that is served; the package carries older ones, whose clients nobody has any more

Kind = Literal[
    "object", "map", "array", "string", "integer", "number", "boolean", "quantity", "int-or-string", "any", "unknown"
]  # fmt: skip

_API = "io.k8s.api."
_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_ELSEWHERE = {
    "apiextensions.k8s.io": "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.",
    "apiregistration.k8s.io": "io.k8s.kube-aggregator.pkg.apis.apiregistration.",
}
# Flow schemas are kept as v1, which Kubernetes 1.27 and 1.28 do not have.
_KEPT_LIKE = ("io.k8s.api.flowcontrol.v1.", "io.k8s.api.flowcontrol.v1beta3.")
_META_KINDS = frozenset({"DeleteOptions", "Status", "WatchEvent"})
_SPECIAL_KINDS: dict[str, Kind] = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "quantity",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "int-or-string",
    "io.k8s.apimachinery.pkg.runtime.RawExtension": "any",
    _META + "FieldsV1": "any",
}
# Fields that Kubernetes knows and drops: those of features that are off there unless somebody turns them on, and ones
# that are no more. Nobody acts on them here either.
_OFF = frozenset(
    {
        "coordination.v1.LeaseSpec.preferredHolder",
        "coordination.v1.LeaseSpec.strategy",
        "core.v1.NodeSpec.configSource",
        "core.v1.NodeStatus.config",
        "core.v1.PodStatus.nodeAllocatableResourceClaimStatuses",
        "core.v1.VolumeProjection.clusterTrustBundle",
        "core.v1.VolumeProjection.podCertificate",
        "discovery.v1.Endpoint.deprecatedTopology",
        "storage.v1.CSIDriverSpec.preventPodSchedulingIfMissing",
    }
)
_TIMES = ("date-time", "micro-time")
_MEANT_EMPTY = "managedFields"  # an empty list is how to be rid of them
# The classes of the zeros of each kind; those of quantities and of what may be a number or a string are never left out.
ZEROS: dict[Kind, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "map": (dict,),
}
_SCALARS: dict[str, Kind] = {"string": "string", "integer": "integer", "number": "number", "boolean": "boolean"}


class Types:
    """All definitions of one API version, decoded one by one as they are asked for."""

    def __init__(self, version: str, definitions: dict[str, msgspec.Raw]) -> None:
        self.version = version
        self._definitions = definitions
        self._known: dict[str, Type] = {}

    @classmethod
    def load(cls, version: str = DEFAULT_VERSION) -> Types:
        """The types of an API version such as "1.36"; LookupError when the installed package does not carry it."""
        path = _file(version)
        if not path.exists():
            raise LookupError(f"no API definitions for version {version}: there are {', '.join(installed_versions())}")
        return cls(version, msgspec.json.decode(path.read_bytes(), type=_File).definitions)

    def of(self, resource: Resource) -> Type:
        """Also of what is only kept in this version, and served in another one, of which it has the structure."""
        name = _definition_name(resource.group, resource.version, resource.kind)
        if name not in self._definitions:
            name = name.replace(*_KEPT_LIKE)
        return self.definition(name)

    def has(self, resource: Resource) -> bool:
        """Whether this version of the API has the kind at all."""
        return _definition_name(resource.group, resource.version, resource.kind) in self._definitions

    def by_kind(self, api_version: str, kind: str) -> Type | None:
        """Also what is no resource of its own: Scale, Eviction, TokenRequest, DeleteOptions (of any group)."""
        group, _, version = api_version.rpartition("/")
        name = _META + kind if kind in _META_KINDS else _definition_name(group, version, kind)
        return self.definition(name) if name in self._definitions else None

    def custom(self, schema: bytes, name: str) -> Type:
        """The type of a custom resource, by its schema in JSON; definitions of the API may be referred to."""
        return Type(self, _schema_decoder.decode(schema), name)

    def definition(self, name: str) -> Type:
        """The shared type of a definition, by its full name ("io.k8s.api.core.v1.PodSpec")."""
        known = self._known.get(name)
        if known is None:
            schema = _schema_decoder.decode(self._definitions[name])
            known = self._known[name] = Type(self, schema, name)
        return known

    def description(self, name: str, field: str = "") -> str:
        """What a definition, or one of its fields, is for."""
        described = _description_decoder.decode(self._definitions[name])
        return described.properties[field].description if field else described.description

    def raw(self, name: str) -> bytes:
        """A definition's own JSON."""
        return bytes(self._definitions[name])

    def node(self, schema: _Schema) -> Type:
        """The type that a field, item or value refers to: shared, unless the place itself says how it merges."""
        if not schema.ref:
            return Type(self, schema, "")
        name = schema.ref.removeprefix("#/$defs/")
        if schema.patch_strategy or schema.map_type:
            target = _schema_decoder.decode(self._definitions[name])
            target.patch_strategy, target.map_type = (schema.patch_strategy, schema.map_type or target.map_type)
            return Type(self, target, name)
        return self.definition(name)


class Type:
    """One place in an object's structure.

    `fields` (kind "object"), `items` ("array") and `values` ("map") lead on; each exists for its own kind only. What is
    "unknown" is kept without a schema: where it is a map, whatever it holds is unknown again.
    `format` tells scalars apart: "int32", "int64", "double", "byte" (base64), "date-time", "micro-time".
    `patch_strategy` and `patch_merge_key` are for strategic merge patches, `list_type`, `list_map_keys` and `map_type`
    for apply; each is empty where the definition is silent.
    """

    def __init__(self, types: Types, schema: _Schema, name: str) -> None:
        self.name = name  # the definition's, "" for what is written in place
        self.kind: Kind = _kind(schema, name)
        self.format = "micro-time" if name == _META + "MicroTime" else schema.format
        self.required = schema.required
        self.patch_strategy = schema.patch_strategy
        self.patch_merge_key = schema.patch_merge_key
        self.list_type = schema.list_type
        self.list_map_keys = schema.list_map_keys
        self.map_type = schema.map_type
        self._types = types
        self._schema = schema

    @cached_property
    def fields(self) -> dict[str, Type]:
        """The fields of an object by name; empty for every other kind."""
        properties = self._schema.properties if self.kind == "object" else {}
        fields = {field: self._types.node(schema) for field, schema in properties.items()}
        return _Open(fields, self._types) if self._schema.open else fields

    @cached_property
    def dropped(self) -> frozenset[str]:
        """The fields that are known, and of which nothing is kept."""
        return frozenset(name for name in self.fields if f"{self.name.removeprefix(_API)}.{name}" in _OFF)

    @cached_property
    def omitted(self) -> frozenset[str]:
        """The fields whose zero ("", 0, false, an empty list or map) is as good as their absence: Go leaves it out."""
        kept = {field.name: field.keep for field in plain_fields(self.name)}
        return frozenset(
            name
            for name, below in self.fields.items()
            if not (kept.get(name, True) or name in self.required or below.format in _TIMES or name == _MEANT_EMPTY)
            and below.kind in ZEROS
        )

    @cached_property
    def items(self) -> Type:
        """What an array holds."""
        assert self.kind == "array" and self._schema.items is not None, self
        return self._types.node(self._schema.items)

    @cached_property
    def values(self) -> Type:
        """What a map holds."""
        if self.kind == "unknown":
            return self
        assert self.kind == "map" and self._schema.values is not None, self
        return self._types.node(self._schema.values)

    def describe(self, field: str = "") -> str:
        """What the definition, or one of its fields, is for; "" for what is written in place."""
        return self._types.description(self.name, field) if self.name else ""

    def at(self, path: Iterable[str]) -> Type | None:
        """The type below, by field names; array items and map values are entered without a step for arrays."""
        here: Type | None = self
        for step in path:
            while here is not None and here.kind == "array":
                here = here.items
            here = None if here is None else here.values if here.kind == "map" else here.fields.get(step)
        return here

    def __repr__(self) -> str:
        return f"<Type {self.kind} {self.name}>" if self.name else f"<Type {self.kind}>"


def installed_versions() -> list[str]:
    """The API versions that can be loaded, oldest first."""
    suffix = ".0-local"
    names = (path.name for path in _directory().glob(f"v1.*{suffix}"))
    return sorted((name[1 : -len(suffix)] for name in names), key=minor_of)


def minor_of(version: str) -> int:
    """36 of "1.36"."""
    return int(version.split(".")[1])


def served_versions() -> list[str]:
    """Those of them that may be served, oldest first."""
    versions = installed_versions()
    return versions[versions.index(OLDEST_VERSION) :] if OLDEST_VERSION in versions else versions


def served_version(text: str) -> str:
    """That of them which "1.33", "v1.33" and "1.33.4" mean. Raises LookupError(problem, hint)."""
    versions = served_versions()
    minor = ".".join(text.removeprefix("v").split(".")[:2])
    if minor not in versions:
        hint = f"--kubernetes-version takes {versions[0]} to {versions[-1]}"
        raise LookupError(f"there is no API of Kubernetes {text} here", hint)
    return minor


class _Open(dict[str, Type]):
    """The fields of an object that may have others, too: those are kept as they are."""

    def __init__(self, fields: dict[str, Type], types: Types) -> None:
        super().__init__(fields)
        self._any = Type(types, _Schema(open=True), "")

    def get(self, field: str, default: object = None) -> Type:
        return super().get(field, self._any)


class _Schema(msgspec.Struct):
    """A JSON schema as the definitions use it; descriptions are skipped while decoding."""

    ref: str = msgspec.field(default="", name="$ref")
    type: str | list[str] = ""
    format: str = ""
    properties: dict[str, _Schema] = {}
    items: _Schema | None = None
    values: _Schema | None = msgspec.field(default=None, name="additionalProperties")
    required: tuple[str, ...] = ()
    patch_strategy: str = msgspec.field(default="", name="x-kubernetes-patch-strategy")
    patch_merge_key: str = msgspec.field(default="", name="x-kubernetes-patch-merge-key")
    list_type: str = msgspec.field(default="", name="x-kubernetes-list-type")
    list_map_keys: tuple[str, ...] = msgspec.field(default=(), name="x-kubernetes-list-map-keys")
    map_type: str = msgspec.field(default="", name="x-kubernetes-map-type")
    open: bool = msgspec.field(default=False, name="x-kubernetes-preserve-unknown-fields")


class _Described(msgspec.Struct):
    description: str = ""
    properties: dict[str, _Described] = {}


class _File(msgspec.Struct):
    definitions: dict[str, msgspec.Raw] = msgspec.field(name="$defs")


_schema_decoder = msgspec.json.Decoder(_Schema)
_description_decoder = msgspec.json.Decoder(_Described)


def _kind(schema: _Schema, name: str) -> Kind:
    if name in _SPECIAL_KINDS:
        return _SPECIAL_KINDS[name]
    types = [schema.type] if isinstance(schema.type, str) else schema.type
    json_type = next((json_type for json_type in types if json_type != "null"), "")
    if json_type == "array":
        return "array"
    if json_type == "object":
        return "object" if schema.values is None else "map"
    return _SCALARS.get(json_type, "unknown" if schema.open else "any")


@lru_cache(maxsize=1024)
def _definition_name(group: str, version: str, kind: str) -> str:
    """Definitions are named after Go packages: the first word of the group, "core" for the group without a name."""
    prefix = _ELSEWHERE.get(group) or f"{_API}{group.partition('.')[0] or 'core'}."
    return f"{prefix}{version}.{kind}"


def _file(version: str) -> Path:
    return _directory() / f"v{version}.0-local" / "_definitions.json"


def _directory() -> Path:
    """Where the package keeps its data; found without importing it, which would cost 50 ms."""
    spec = importlib.util.find_spec("kubernetes_validate")
    assert spec is not None and spec.submodule_search_locations, "kubernetes-validate is a dependency"
    return Path(spec.submodule_search_locations[0]) / "kubernetes-json-schema"
