"""Hypothesis strategies for objects of a custom resource: what the schema of its definition lets in.

    @given(custom_objects(yaml.safe_load(Path("crd.yaml").read_text())))
    def test_my_operator_copes_with(widget): ...

Followed are the types, `required`, `enum`, bounds of numbers, lengths and sizes, `nullable`, what may be of any name
(`additionalProperties`), and the common formats. What a schema says by `pattern`, by rules in CEL, or by `allOf` and
its kin, give by hand: `given={"spec.schedule": st.just("@hourly")}`.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from actorkube.testing.objects import metadata, names
from protocols.objects import Object

S = st.SearchStrategy

ITEMS_MAX = 3
NUMBER_MAX = 1000.0
INT32_MAX, INT64_MAX = 2**31 - 1, 2**63 - 1
FORMATS: Mapping[str, S[str]] = {
    "date-time": st.integers(0, INT32_MAX).map(
        lambda at: f"{datetime.datetime.fromtimestamp(at, datetime.UTC):%Y-%m-%dT%H:%M:%SZ}"
    ),
    "date": st.dates(datetime.date(1970, 1, 1)).map(str),
    "uuid": st.uuids().map(str),
    "ipv4": st.ip_addresses(v=4).map(str),
    "byte": st.sampled_from(["", "AA==", "aGVsbG8="]),
    "duration": st.sampled_from(["10s", "5m", "1h30m"]),
}


@st.composite
def custom_objects(
    draw: st.DrawFn, definition: Object, version: str = "", *, given: Mapping[str, S[Any]] | None = None
) -> Object:
    """Without a version, of the one that is stored. `given` says what stands at a path; the status is left out.

    ValueError: the definition has no such version.
    """
    spec = definition["spec"]
    found = [v for v in spec["versions"] if (v["name"] == version if version else v["storage"])]
    if not found:
        raise ValueError(f"{definition['metadata']['name']} has no version {version!r}")
    schema = dict(found[0]["schema"]["openAPIV3Schema"])
    own = ("apiVersion", "kind", "metadata", "status")
    schema["properties"] = {key: value for key, value in schema.get("properties", {}).items() if key not in own}
    body = draw(values(schema, given or {}))
    head = {"apiVersion": f"{spec['group']}/{found[0]['name']}", "kind": spec["names"]["kind"]}
    return {**head, "metadata": draw(metadata()), **body}


def values(schema: Mapping[str, Any], given: Mapping[str, S[Any]], path: str = "") -> S[Any]:
    """What one place of a structural schema lets in."""
    if path in given:
        return given[path]
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    drawn = _of_type(schema, given, path)
    return st.none() | drawn if schema.get("nullable") else drawn


def _of_type(schema: Mapping[str, Any], given: Mapping[str, S[Any]], path: str) -> S[Any]:
    if schema.get("x-kubernetes-int-or-string"):
        return st.integers(0, 100) | st.sampled_from(["10%", "http"])
    match schema.get("type"):
        case "object":
            return _maps(schema, given, path)
        case "array":
            items = values(schema.get("items", {}), given, f"{path}[]")
            unique = repr if schema.get("x-kubernetes-list-type") == "set" else None
            least, most = schema.get("minItems", 0), schema.get("maxItems", INT32_MAX)
            return st.lists(items, min_size=least, max_size=_most(least, most), unique_by=unique)
        case "string":
            return _strings(schema)
        case "integer":
            least, most = _bounds(schema, 1)
            bound = INT32_MAX if schema.get("format") == "int32" else INT64_MAX
            return st.integers(int(max(least, -bound)), int(min(most, bound)))
        case "number":
            least, most = _bounds(schema, 0.25)
            lowest, highest = math.ceil(max(least, -NUMBER_MAX) * 4), math.floor(min(most, NUMBER_MAX) * 4)
            if lowest > highest:
                return st.floats(least, most)
            return st.integers(lowest, highest).map(lambda quarters: quarters / 4)
        case "boolean":
            return st.booleans()
    return st.integers(0, 9) | st.text(max_size=5)  # x-kubernetes-preserve-unknown-fields: anything


def _maps(schema: Mapping[str, Any], given: Mapping[str, S[Any]], path: str) -> S[Object]:
    parts = {
        name: values(part, given, f"{path}.{name}" if path else name)
        for name, part in schema.get("properties", {}).items()
    }
    needed = set(schema.get("required", ())) & parts.keys()
    below = tuple(place.partition(".")[0] for place in given) if not path else ()
    needed |= parts.keys() & set(below)
    fixed = st.fixed_dictionaries(
        {name: part for name, part in parts.items() if name in needed},
        optional={name: part for name, part in parts.items() if name not in needed},
    )
    if not isinstance(schema.get("additionalProperties"), Mapping):
        return fixed
    least = schema.get("minProperties", 0)
    others = values(schema["additionalProperties"], given, f"{path}.*")
    return st.dictionaries(
        names(), others, min_size=least, max_size=_most(least, schema.get("maxProperties", least + 9))
    )


def _strings(schema: Mapping[str, Any]) -> S[str]:
    if schema.get("format") in FORMATS:
        return FORMATS[schema["format"]]
    least = schema.get("minLength", 0)
    return st.text("abcxyz-019 ÄŁ", min_size=least, max_size=min(schema.get("maxLength", least + 20), least + 20))


def _bounds(schema: Mapping[str, Any], step: float) -> tuple[float, float]:
    """The least and the most number."""
    least, most = schema.get("minimum", -INT64_MAX), schema.get("maximum", INT64_MAX)
    return (
        least + step if schema.get("exclusiveMinimum") else least,
        most - step if schema.get("exclusiveMaximum") else most,
    )


def _most(least: int, most: int) -> int:
    return min(most, least + ITEMS_MAX)
