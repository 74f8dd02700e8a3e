"""One version of a custom resource, compiled from its definition: all that a request about its objects needs."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from actors.apiserver.custom import judge
from actors.apiserver.custom.conversion import ConversionWebhook, webhook_of
from actors.apiserver.custom.embedded import embedded_errors
from actors.apiserver.custom.scaling import scale_errors
from actors.apiserver.custom.structural import JsonSchema, Node, fill, has_rules, prune
from actors.apiserver.custom.unique import unique_errors
from actors.apiserver.rules.field import FieldError, FieldErrors
from protocols.objects import Object

if TYPE_CHECKING:
    from actors.apiserver.cel.validations import Rules
    from actors.apiserver.schema.resources import Resource
    from actors.apiserver.schema.types import Type, Types
    from actors.apiserver.tables.cells import Printer

_OBJECT_META = "#/$defs/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_KUBE_VERSION = re.compile(r"v(\d+)(?:(alpha|beta)(\d+))?")
_NOT_CHECKED = (
    "some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation"
)
_BLOCKING = (
    *("FieldValueRequired", "FieldValueTooLong", "FieldValueTooMany"),
    *("FieldValueNotSupported", "FieldValueTypeInvalid"),
)
# In the order in which Kubernetes tells them.
_VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")
ESTABLISHED, TERMINATING, NAMES_ACCEPTED = "Established", "Terminating", "NamesAccepted"


@dataclass(eq=False, slots=True)
class CustomVersion:
    """`storage` is the resource of the version in which objects are kept; it is set when all versions are made.

    `webhook` makes an object of one version one of another; without one they differ in nothing but what they show.
    """

    list_kind: str
    node: Node
    type: Type
    printer: Printer
    selectable: tuple[str, ...]
    scale: dict[str, str]
    terminating: bool
    ruled: bool
    webhook: ConversionWebhook | None
    warning: str  # to those who ask for a version that is deprecated
    storage: Resource = field(init=False)
    _rules: Rules | None = field(init=False, default=None)

    @property
    def schema(self) -> JsonSchema:
        return self.node.schema

    def serve(self, obj: Object, api_version: str) -> Object:
        """A stored object as this version shows it, changed in place; converted already, where a webhook does that."""
        assert self.webhook is None or obj["apiVersion"] == api_version, (obj["apiVersion"], api_version)
        prune(self.node, obj)
        fill(self.node, obj)
        obj["apiVersion"] = api_version
        return obj

    def errors(self, obj: Object, old: Object | None, subresource: str = "") -> FieldErrors:
        """Rules are asked about an object of the right types only; what they would say of another is not known."""
        found = [*self._schema_errors(obj, old, subresource), *scale_errors(self.scale, obj, subresource)]
        found += embedded_errors(self.node, obj)
        if old is None or next(unique_errors(self.node, old), None) is None:
            found += unique_errors(self.node, obj)
        yield from found
        if not self.ruled:
            return
        if any(map(_is_blocking, found)):
            yield FieldError("FieldValueInvalid", "<nil>", None, _NOT_CHECKED)
        else:
            yield from self._compiled_rules().errors(obj, old)

    def _schema_errors(self, obj: Object, old: Object | None, subresource: str) -> FieldErrors:
        """A status is held against its own schema."""
        if subresource != "status":
            return judge.errors(self.node, obj, old if old is not None else judge.ABSENT)
        node = self.node.properties.get("status")
        if node is None or "status" not in obj:
            return iter(())
        before = (old or {}).get("status", judge.ABSENT)
        return judge.errors(node, obj["status"], before, within="status")

    def _compiled_rules(self) -> Rules:
        if self._rules is None:
            from actors.apiserver.cel.validations import Rules

            self._rules = Rules(self.node)
        return self._rules


def _is_blocking(error: FieldError) -> bool:
    return error.type in _BLOCKING


def resources_of(definition: Object, types: Types) -> list[Resource]:
    """The resources that an established definition serves, the newest version first; [] while it is not established."""
    status = definition.get("status") or {}
    if not is_true(definition, ESTABLISHED):
        return []
    names = {**definition["spec"]["names"], **(status.get("acceptedNames") or {})}
    made = {version["name"]: _resource(definition, version, names, types) for version in definition["spec"]["versions"]}
    versions = {version["name"]: version for version in definition["spec"]["versions"]}
    storage = next(made[name] for name, version in versions.items() if version.get("storage"))
    for resource in made.values():
        assert resource.custom is not None
        resource.custom.storage = storage
    served = (resource for name, resource in made.items() if versions[name].get("served"))
    return sorted(served, key=lambda resource: priority(resource.version), reverse=True)


def is_true(definition: Object, condition: str) -> bool:
    conditions = (definition.get("status") or {}).get("conditions") or ()
    return any(each.get("type") == condition and each.get("status") == "True" for each in conditions)


def priority(version: str) -> tuple[int, int, int, str]:
    """Greater is newer: v2, v1, v1beta2, v1beta1, v1alpha1, and what is no Kubernetes version in reverse order."""
    match = _KUBE_VERSION.fullmatch(version)
    if match is None:
        return (0, 0, 0, "".join(chr(0x10FFFF - ord(letter)) for letter in f"{version}\0"))
    major, stage, minor = match.groups()
    return ({"alpha": 1, "beta": 2, None: 3}[stage], int(major), int(minor or 0), "")


def _resource(definition: Object, version: dict[str, Any], names: dict[str, Any], types: Types) -> Resource:
    from actors.apiserver.custom.columns import printer_of
    from actors.apiserver.schema.resources import Resource

    spec = definition["spec"]
    schema = (version.get("schema") or {}).get("openAPIV3Schema") or {"type": "object"}
    terminating = "deletionTimestamp" in definition["metadata"]
    subresources = version.get("subresources") or {}
    node = Node(schema)
    custom = CustomVersion(
        list_kind=names.get("listKind") or f"{names['kind']}List",
        node=node,
        type=types.custom(orjson.dumps(typed(schema, root=True)), names["kind"]),
        printer=printer_of(version.get("additionalPrinterColumns") or ()),
        selectable=tuple(each["jsonPath"].removeprefix(".") for each in version.get("selectableFields") or ()),
        scale=subresources.get("scale") or {},
        terminating=terminating,
        ruled=has_rules(node),
        webhook=webhook_of(definition),
        warning=_warning(definition, version) if version.get("deprecated") else "",
    )
    return Resource(
        group=spec["group"],
        version=version["name"],
        kind=names["kind"],
        plural=names["plural"],
        singular=names.get("singular") or names["kind"].lower(),
        namespaced=spec["scope"] == "Namespaced",
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        verbs=tuple(verb for verb in _VERBS if not (terminating and verb == "create")),
        subresources=tuple(name for name in ("status", "scale") if subresources.get(name) is not None),
        storage=f"{names['plural']}.{spec['group']}",
        custom=custom,
    )


def _warning(definition: Object, version: dict[str, Any]) -> str:
    """The definition's own words, or which newer version that is served is to be asked for instead."""
    if (own := version.get("deprecationWarning")) is not None:
        return str(own)
    group, kind = definition["spec"]["group"], definition["spec"]["names"]["kind"]
    others = [
        each["name"] for each in definition["spec"]["versions"] if each.get("served") and not each.get("deprecated")
    ]
    newer = [each for each in others if priority(each) > priority(version["name"])]
    instead = f"; use {group}/{max(newer, key=priority)} {kind}" if newer else ""
    return f"{group}/{version['name']} {kind} is deprecated{instead}"


def typed(schema: JsonSchema, *, root: bool = False) -> JsonSchema:
    """The schema as far as it says how values divide and merge: what server-side apply looks at."""
    made: JsonSchema = {key: schema[key] for key in _MERGING if schema.get(key) is not None}
    properties = {name: typed(below) for name, below in (schema.get("properties") or {}).items()}
    embedded = root or schema.get("x-kubernetes-embedded-resource")
    if embedded:
        properties |= {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"$ref": _OBJECT_META}}
    rest = schema.get("additionalProperties")
    if not properties and not isinstance(rest, dict) and schema.get("type") == "object":
        made.pop("type")  # a leaf, or unknown where it is kept
    if properties:
        made["properties"] = properties
    elif rest:
        made["additionalProperties"] = typed(rest)
    if isinstance(schema.get("items"), dict):
        made["items"] = typed(schema["items"])
    return made if made.get("type") != "array" or "items" in made else {}


_MERGING = (
    "type",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
    "x-kubernetes-preserve-unknown-fields",
)
