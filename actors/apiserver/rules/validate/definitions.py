"""CustomResourceDefinitions: names, versions, and the rules that make a schema structural (KEP-693)."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from actorkube.cel.patterns import BadPattern, compiled
from actors.apiserver.custom.judge import errors
from actors.apiserver.custom.structural import INT_OR_STRING, JsonSchema, Node, nodes, prune
from actors.apiserver.rules import names
from actors.apiserver.rules.field import (
    FieldErrors,
    duplicate,
    forbidden,
    invalid_value,
    not_supported,
    one_of,
    required,
    unchanged,
)
from actors.apiserver.rules.validate.conversion import conversion
from actors.apiserver.rules.validate.rules import rule_forms, rule_problems
from protocols.objects import Object, name_of

_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_SIMPLE_PATH = re.compile(r"(\.[A-Za-z_][A-Za-z0-9_-]*)+")
_MAP_TYPES = ("atomic", "granular")
_WARNING_BYTES_MAX = 256
_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_COLUMN_FORMATS = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")
# What only the structure itself may say, not a condition on it.
_STRUCTURE_ONLY = {
    "type": "must be empty to be structural",
    "additionalProperties": "must be undefined to be structural",
    "default": "must be undefined to be structural",
    "title": "must be empty to be structural",
    "description": "must be empty to be structural",
    "nullable": "must be false to be structural",
    "x-kubernetes-preserve-unknown-fields": "must be false to be structural",
    "x-kubernetes-embedded-resource": "must be false to be structural",
    "x-kubernetes-int-or-string": "must be false to be structural",
    "x-kubernetes-list-map-keys": "must be empty to be structural",
    "x-kubernetes-list-type": "must be undefined to be structural",
    "x-kubernetes-map-type": "must be undefined to be structural",
    "x-kubernetes-validations": "must be empty to be structural",
}
_APPROVED = "api-approved.kubernetes.io"
_APPROVALS = "https://github.com/kubernetes/enhancements/pull/1111"
_POINTERS = ("$ref", "dependencies", "additionalItems")  # what is empty is there as well
_UNSUPPORTED = ("$ref", "definitions", "dependencies", "id", "patternProperties", "additionalItems")


def definition(obj: Object, old: Object | None) -> FieldErrors:
    spec: dict[str, Any] = obj.get("spec") or {}
    named: dict[str, Any] = spec.get("names") or {}
    if old is None and name_of(obj) != f"{named.get('plural')}.{spec.get('group')}":
        yield invalid_value("metadata.name", name_of(obj), 'must be spec.names.plural+"."+spec.group')
    yield from _group(spec.get("group") or "")
    if old is None:
        yield from _approved(spec.get("group") or "", (obj.get("metadata") or {}).get("annotations") or {})
    yield from one_of("spec.scope", spec.get("scope"), ("Cluster", "Namespaced"))
    yield from _versions(spec.get("versions") or [])
    yield from _names(named)
    yield from conversion(spec)
    if (spec.get("preserveUnknownFields") or False) is True:
        detail = (
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"
        )
        yield invalid_value("spec.preserveUnknownFields", True, detail)
    if old is not None:
        yield from _update(spec, old["spec"], obj.get("status") or {})
    elif not any(version.get("storage") for version in spec.get("versions") or ()):
        yield invalid_value("status.storedVersions", None, "must have at least one stored version")


def _update(spec: dict[str, Any], old: dict[str, Any], status: dict[str, Any]) -> FieldErrors:
    named, before = spec.get("names") or {}, old["names"]
    yield from unchanged("spec.scope", spec.get("scope") or "", old.get("scope"))
    yield from unchanged("spec.names.kind", named.get("kind") or "", before.get("kind"))
    yield from unchanged("spec.group", spec.get("group") or "", old.get("group"))
    yield from unchanged("spec.names.plural", named.get("plural") or "", before.get("plural"))
    known = [version.get("name") for version in spec.get("versions") or ()]
    for index, stored in enumerate(status.get("storedVersions") or ()):
        if stored not in known:
            detail = f"missing from spec.versions; {stored} was previously a storage version, and must remain in "
            detail += "spec.versions until a storage migration ensures no data remains persisted in "
            detail += f"{stored} and removes {stored} from status.storedVersions"
            yield invalid_value(f"status.storedVersions[{index}]", stored, detail)


def _group(group: str) -> FieldErrors:
    if not group:
        yield required("spec.group")
        return
    problems = list(names.dns_subdomain(group))
    if problems:
        yield invalid_value("spec.group", group, ",".join(problems))
    elif "." not in group:
        yield invalid_value("spec.group", group, "should be a domain with at least one dot")


def _approved(group: str, annotations: dict[str, str]) -> FieldErrors:
    """Kubernetes' own domains are for what its reviewers have seen."""
    if not group.endswith((".k8s.io", ".kubernetes.io")) and group not in ("k8s.io", "kubernetes.io"):
        return
    value, detail = annotations.get(_APPROVED), f'protected groups must have approval annotation "{_APPROVED}"'
    if not value:
        yield required(f"metadata.annotations[{_APPROVED}]", f"{detail}, see {_APPROVALS}")
    elif not value.startswith("unapproved") and not all(urlsplit(value)[:2]):
        detail += f' with either a URL or a reason starting with "unapproved", see {_APPROVALS}'
        yield invalid_value(f"metadata.annotations[{_APPROVED}]", value, detail)


def _names(named: dict[str, Any]) -> FieldErrors:
    for key in ("plural", "singular", "kind", "listKind"):
        if not named.get(key):
            yield required(f"spec.names.{key}")
        else:
            yield from _name(f"spec.names.{key}", key, named[key])
    yield from _other_names("spec.names", named)


def accepted_names(named: dict[str, Any]) -> FieldErrors:
    """Those of the status, as far as there are any yet."""
    for key in ("plural", "singular", "kind", "listKind"):
        if named.get(key):
            yield from _name(f"status.acceptedNames.{key}", key, named[key])
    yield from _other_names("status.acceptedNames", named)


def _name(field: str, key: str, value: str) -> FieldErrors:
    mixed = key in ("kind", "listKind")
    problems = list(names.dns_1035_label(value.lower() if mixed else value))
    if problems:
        prefix = "may have mixed case, but should otherwise match: " if mixed else ""
        yield invalid_value(field, value, prefix + ",".join(problems))


def _other_names(field: str, named: dict[str, Any]) -> FieldErrors:
    for key in ("shortNames", "categories"):
        for index, value in enumerate(named.get(key) or ()):
            problems = list(names.dns_1035_label(value))
            if problems:
                yield invalid_value(f"{field}.{key}[{index}]", value, ",".join(problems))
    if named.get("kind") and named.get("kind") == named.get("listKind"):
        yield invalid_value(f"{field}.listKind", named["listKind"], "kind and listKind may not be the same")


def _versions(versions: list[dict[str, Any]]) -> FieldErrors:
    found = [version.get("name") or "" for version in versions]
    if len(set(found)) != len(found):
        yield invalid_value("spec.versions", [*map(_in_go, versions)], "must contain unique version names")
    if sum(bool(version.get("storage")) for version in versions) != 1:
        yield invalid_value(
            "spec.versions", [*map(_in_go, versions)] or None, "must have exactly one version marked as storage version"
        )
    for index, version in enumerate(versions):
        at = f"spec.versions[{index}]"
        problems = list(names.dns_1035_label(version.get("name") or ""))
        for place in (f"{at}.name", "spec.version")[: (1 if index else 2) if problems else 0]:
            yield invalid_value(place, version.get("name") or "", ",".join(problems))
        yield from _deprecation(version, f"{at}.deprecationWarning")
    for part, check in _PARTS.items():
        for at, version in _placed(versions, part):
            yield from check(version, at)


def _in_go(version: dict[str, Any]) -> dict[str, Any]:
    """What versions have in common is not theirs there."""
    names = ("Schema", "Subresources", "AdditionalPrinterColumns", "SelectableFields")
    flags = {key.capitalize(): bool(version.get(key)) for key in ("served", "storage", "deprecated")}
    warning = {"DeprecationWarning": version.get("deprecationWarning")}
    return {"Name": version.get("name") or "", **flags, **warning, **dict.fromkeys(names)}


def _placed(versions: list[dict[str, Any]], part: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where Kubernetes says something about a part of versions: what they have in common is said once, as if it were
    the definition's."""
    if versions and versions[0].get(part) and all(each.get(part) == versions[0][part] for each in versions):
        yield f"spec.{'validation' if part == 'schema' else part}", versions[0]
    else:
        yield from ((f"spec.versions[{index}].{part}", version) for index, version in enumerate(versions))


def _deprecation(version: dict[str, Any], at: str) -> FieldErrors:
    """What who uses the version is told."""
    text = version.get("deprecationWarning")
    if text is None:
        return
    if not version.get("deprecated"):
        yield invalid_value(at, text, "can only be set for deprecated versions")
        return
    if len(text.encode()) > _WARNING_BYTES_MAX:
        yield invalid_value(at, text, f"must be <= {_WARNING_BYTES_MAX} characters long")
    if not text:
        yield invalid_value(at, text, "must not be an empty string")


def _scale(version: dict[str, Any], at: str) -> FieldErrors:
    scale, at = (version.get("subresources") or {}).get("scale"), f"{at}.scale"
    if scale is None:
        return
    for key, root in (("specReplicasPath", ".spec."), ("statusReplicasPath", ".status.")):
        value = scale.get(key) or ""
        if not value:
            yield required(f"{at}.{key}")
        elif not (_SIMPLE_PATH.fullmatch(value) and value.startswith(root)):
            yield invalid_value(f"{at}.{key}", value, f"should be a json path under {root.rstrip('.')}")
    selector = scale.get("labelSelectorPath")
    if selector and not (_SIMPLE_PATH.fullmatch(selector) and selector.startswith((".spec.", ".status."))):
        yield invalid_value(f"{at}.labelSelectorPath", selector, "should be a json path under either .status or .spec")


def _columns(version: dict[str, Any], at: str) -> FieldErrors:
    for index, column in enumerate(version.get("additionalPrinterColumns") or ()):
        if not column.get("name"):
            yield required(f"{at}[{index}].name")
        kind = column.get("type") or ""
        if not kind:
            yield required(f"{at}[{index}].type", f"must be one of {','.join(_COLUMN_TYPES)}")
        elif kind not in _COLUMN_TYPES:
            yield invalid_value(f"{at}[{index}].type", kind, f"must be one of {','.join(_COLUMN_TYPES)}")
        if column.get("format") and column["format"] not in _COLUMN_FORMATS:
            detail = f"must be one of {','.join(_COLUMN_FORMATS)}"
            yield invalid_value(f"{at}[{index}].format", column["format"], detail)
        yield from _json_path(column.get("jsonPath") or "", f"{at}[{index}].JSONPath")


def _json_path(text: str, at: str) -> FieldErrors:
    if not text:
        yield required(at)
        return
    if not text.startswith("."):
        yield invalid_value(at, text, "must be a simple json path starting with .")
        return
    from actors.apiserver.custom.columns import NoPath, path  # with the tables, 30 ms that the start need not take

    try:
        path(text)
    except NoPath as error:
        yield invalid_value(at, text, f"is an invalid jsonpath: {error}")


def _selectable(version: dict[str, Any], at: str) -> FieldErrors:
    schema = (version.get("schema") or {}).get("openAPIV3Schema") or {}
    seen: set[str] = set()
    for index, field in enumerate(version.get("selectableFields") or ()):
        text = field.get("jsonPath") or ""
        if not text:
            yield required(f"{at}[{index}].jsonPath")
        elif text[0] not in ".[":
            why = f"is an invalid path: expected [ or . but got: {text}"
            yield invalid_value(f"{at}[{index}].jsonPath", text, why)
        elif "[" in text:
            yield invalid_value(f"{at}[{index}].jsonPath", text, "is an invalid path: does not refer to a valid field")
        elif not _SIMPLE_PATH.fullmatch(text) or text.startswith(".metadata"):
            yield invalid_value(f"{at}[{index}].jsonPath", text, "is an invalid path: must be a simple path to a field")
        elif text in seen:
            yield duplicate(f"{at}[{index}].jsonPath", text)
        elif _field_at(schema, text) is None:
            yield invalid_value(f"{at}[{index}].jsonPath", text, "is an invalid path: does not refer to a valid field")
        seen.add(text)


def _field_at(schema: JsonSchema, path: str) -> JsonSchema | None:
    for name in path.split(".")[1:]:
        found = (schema.get("properties") or {}).get(name)
        if not isinstance(found, dict):
            return None
        schema = found
    return schema


# -- structural schemas -----------------------------------------------------------------------------------------------


def _schema(version: dict[str, Any], at: str) -> FieldErrors:
    schema, at = (version.get("schema") or {}).get("openAPIV3Schema"), f"{at}.openAPIV3Schema"
    if schema is None:
        yield required(at)
        return
    found = [*_root(schema, at), *_structural(schema, at, "root")]
    if any(each.get("$schema") for each in _everywhere(schema)):
        found.append(invalid_value(at, "", "OpenAPIV3Schema 'schema' is not supported"))
    yield from found
    if not found:
        root = Node(schema)
        for place, node in nodes(root, at):
            yield from _default(node, place)
        yield from rule_problems(root, at)


def _root(schema: JsonSchema, at: str) -> FieldErrors:
    kind = schema.get("type") or ""
    if kind and kind != "object":
        yield invalid_value(f"{at}.type", kind, "must be object at the root")
    if schema.get("nullable"):
        yield forbidden(f"{at}.nullable", "nullable cannot be true at the root")
    if isinstance(schema.get("default"), dict):
        for key in ("apiVersion", "kind"):  # it is the default of a whole object
            if not schema["default"].get(key):
                yield required(f"{at}.default.{key}")
    metadata = (schema.get("properties") or {}).get("metadata")
    if isinstance(metadata, dict):
        said = {key for key in metadata if key not in ("type", "description", "properties")}
        if said or set(metadata.get("properties") or ()) - {"name", "generateName"}:
            detail = "must not specify anything other than name and generateName, but metadata is implicitly specified"
            yield forbidden(f"{at}.properties[metadata]", detail)


def _structural(schema: JsonSchema, at: str, level: str) -> FieldErrors:
    yield from _own(schema, at, level)
    if isinstance(schema.get("items"), dict):
        yield from _structural(schema["items"], f"{at}.items", "item")
    for name, below in (schema.get("properties") or {}).items():
        yield from _structural(below or {}, f"{at}.properties[{name}]", "field")
    rest = schema.get("additionalProperties")
    if isinstance(rest, dict):
        yield from _structural(rest, f"{at}.additionalProperties", "field")
    yield from _conditions(schema, at, schema.get("x-kubernetes-int-or-string") is True)


def _own(schema: JsonSchema, at: str, level: str) -> FieldErrors:
    kind, embedded = schema.get("type") or "", schema.get("x-kubernetes-embedded-resource")
    anything = schema.get("x-kubernetes-int-or-string") or schema.get("x-kubernetes-preserve-unknown-fields")
    if kind and kind not in _TYPES:
        yield not_supported(f"{at}.type", kind, _TYPES)
    if embedded and kind != "object":
        detail = "must be object if x-kubernetes-embedded-resource is true"
        yield invalid_value(f"{at}.type", kind, detail) if kind else required(f"{at}.type", detail)
    elif not kind and not anything:
        where = {"root": "at the root", "item": "for specified array items", "field": "for specified object fields"}
        yield required(f"{at}.type", f"must not be empty {where[level]}")
    if isinstance(schema.get("items"), list):
        yield forbidden(f"{at}.items", "items must be a schema object and not an array")
    elif kind == "array" and not isinstance(schema.get("items"), dict):
        yield required(f"{at}.items", "must be specified")
    yield from _properties(schema, at, level)
    yield from _lists(schema, at)
    yield from rule_forms(schema, at)
    yield from _unsupported(schema, at)


def _unsupported(schema: JsonSchema, at: str) -> FieldErrors:
    for key in _UNSUPPORTED:
        if schema.get(key) or (key in _POINTERS and schema.get(key) is not None):
            yield forbidden(f"{at}.{key}", f"{key} is not supported")
    if schema.get("uniqueItems"):
        detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        yield forbidden(f"{at}.uniqueItems", detail)


def _everywhere(schema: JsonSchema) -> Iterator[JsonSchema]:
    yield schema
    below = [schema.get(key) for key in ("not", "items", "additionalProperties")]
    below += [each for key in ("allOf", "anyOf", "oneOf") for each in schema.get(key) or ()]
    for each in (*below, *(schema.get("properties") or {}).values()):
        if isinstance(each, dict):
            yield from _everywhere(each)


def _properties(schema: JsonSchema, at: str, level: str) -> FieldErrors:
    rest, properties = schema.get("additionalProperties"), schema.get("properties") or {}
    if rest is not None and level == "root":
        yield forbidden(f"{at}.additionalProperties", "must not be used at the root")
    if rest is False:
        yield forbidden(f"{at}.additionalProperties", "additionalProperties cannot be set to false")
    elif rest and properties:
        yield forbidden(f"{at}.additionalProperties", "additionalProperties and properties are mutual exclusive")
    if schema.get("x-kubernetes-int-or-string") and schema.get("x-kubernetes-preserve-unknown-fields"):
        detail = "must be false if x-kubernetes-int-or-string is true"
        yield invalid_value(f"{at}.x-kubernetes-preserve-unknown-fields", True, detail)
    if schema.get("x-kubernetes-preserve-unknown-fields") is False:
        yield invalid_value(f"{at}.x-kubernetes-preserve-unknown-fields", False, "must be true or undefined")
    embedded = schema.get("x-kubernetes-embedded-resource")
    if embedded and not schema.get("x-kubernetes-preserve-unknown-fields") and not properties:
        detail = "must not be empty if x-kubernetes-embedded-resource is true without "
        yield required(f"{at}.properties", detail + "x-kubernetes-preserve-unknown-fields")


def _lists(schema: JsonSchema, at: str) -> FieldErrors:
    kind, keys = schema.get("x-kubernetes-list-type"), schema.get("x-kubernetes-list-map-keys") or []
    if kind is not None and schema.get("type") != "array":
        detail = "must be array if x-kubernetes-list-type is specified"
        yield invalid_value(f"{at}.type", schema.get("type") or "", detail)
    if kind is not None and kind not in ("atomic", "set", "map"):
        yield not_supported(f"{at}.x-kubernetes-list-type", kind, ("atomic", "set", "map"))
    whole = schema.get("x-kubernetes-map-type")
    if whole is not None and schema.get("type") != "object":
        detail = "must be object if x-kubernetes-map-type is specified"
        yield invalid_value(f"{at}.type", schema.get("type") or "", detail)
    if whole is not None and whole not in _MAP_TYPES:
        yield not_supported(f"{at}.x-kubernetes-map-type", whole, _MAP_TYPES)
    if keys and kind != "map":
        why = "must be map if x-kubernetes-list-map-keys is non-empty"
        where = f"{at}.x-kubernetes-list-type"
        yield required(where, why) if kind is None else invalid_value(where, kind, why)
    items: JsonSchema = schema["items"] if isinstance(schema.get("items"), dict) else {}
    if kind == "set" and items.get("type") in ("object", "array"):
        if items["type"] == "object" and items.get("x-kubernetes-map-type") != "atomic":
            detail = "must be atomic as item of a list with x-kubernetes-list-type=set"
            yield invalid_value(f"{at}.items.x-kubernetes-map-type", items.get("x-kubernetes-map-type"), detail)
    if kind == "map":
        if not keys:
            yield required(f"{at}.x-kubernetes-list-map-keys", "must not be empty if x-kubernetes-list-type is map")
        if items and items.get("type") != "object":
            detail = "must be object if parent array's x-kubernetes-list-type is map"
            yield invalid_value(f"{at}.items.type", items.get("type") or "", detail)
        yield from _keys(keys, items, at)


def _keys(keys: list[str], items: JsonSchema, at: str) -> FieldErrors:
    properties = items.get("properties") or {}
    for index, key in enumerate(keys):
        place = f"{at}.x-kubernetes-list-map-keys[{index}]"
        if key not in properties:
            yield invalid_value(place, key, "entries must all be names of item properties")
        elif properties[key].get("type") in ("object", "array"):
            detail = "must be a scalar type if parent array's x-kubernetes-list-type is map"
            yield invalid_value(f"{at}.items.properties[{key}].type", properties[key]["type"], detail)
        elif key not in (items.get("required") or ()) and properties[key].get("default") is None:
            detail = (
                "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"
            )
            yield required(f"{at}.items.properties[{key}].default", detail)
    if len(set(keys)) != len(keys):
        yield duplicate(f"{at}.x-kubernetes-list-map-keys", keys)


def _conditions(schema: JsonSchema, at: str, int_or_string: bool) -> FieldErrors:
    """Logical combinations may restrict what the structure specifies, and specify nothing themselves."""
    for place, condition in _junctors(schema, at):
        if int_or_string and schema.get("anyOf") == INT_OR_STRING and place.startswith(f"{at}.anyOf"):
            continue
        yield from _condition(condition, place, int_or_string and ".allOf[0]" in place)
    pattern = schema.get("pattern")
    if pattern and _broken(pattern):
        detail = f"must be a valid regular expression, but isn't: {_broken(pattern)}"
        yield invalid_value(f"{at}.pattern", pattern, detail)


def _broken(pattern: str) -> str:
    try:
        compiled(pattern)
    except BadPattern as error:
        return f"error parsing regexp: {error}"
    return ""


def _condition(schema: JsonSchema, at: str, int_or_string: bool = False) -> FieldErrors:
    for key, detail in _STRUCTURE_ONLY.items():
        if schema.get(key) not in (None, "", False, []):
            yield forbidden(f"{at}.{key}", detail)
    yield from rule_forms(schema, at)
    yield from _unsupported(schema, at)
    if "metadata" in (schema.get("properties") or {}):
        yield forbidden(f"{at}.properties[metadata]", "must not be specified in a nested context")
    if isinstance(schema.get("items"), dict):
        yield from _condition(schema["items"], f"{at}.items")
    for name, below in (schema.get("properties") or {}).items():
        yield from _condition(below or {}, f"{at}.properties[{name}]")
    yield from _conditions(schema, at, int_or_string)


def _junctors(schema: JsonSchema, at: str) -> Iterator[tuple[str, JsonSchema]]:
    for key in ("allOf", "anyOf", "oneOf"):
        for index, each in enumerate(schema.get(key) or ()):
            yield f"{at}.{key}[{index}]", each
    if schema.get("not") is not None:
        yield f"{at}.not", schema["not"]


def _default(node: Node, at: str) -> FieldErrors:
    """A default must be valid itself, and have no field that would be pruned."""
    if not node.has_default:
        return
    if isinstance(node.default, dict) and not node.embedded:
        gone = prune(node, copy.deepcopy(node.default))
        if gone:
            yield invalid_value(f"{at}.default", node.default, "must not have unknown fields")
    for error in errors(node, node.default, path=f"{at}.default"):
        yield replace(error, detail=error.detail.removeprefix(f"{at}.default"))


_PARTS: dict[str, Callable[[dict[str, Any], str], FieldErrors]] = {
    "schema": _schema,
    "subresources": _scale,
    "additionalPrinterColumns": _columns,
    "selectableFields": _selectable,
}
