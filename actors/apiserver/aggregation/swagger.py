"""OpenAPI v2 with what other servers serve: of each the paths of its group version, and the definitions these name.

Where two servers mean different things by one name of a definition, the later one's is renamed, as kube-aggregator does
it: `com.example.Apple` becomes `com.example.Apple_v2`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from actors.apiserver.schema import gnostic

Swagger = dict[str, Any]
_DEFINITIONS = "#/definitions/"
_PARAMETERS = "#/parameters/"


def part_of(swagger: object, api_version: str) -> Swagger:
    """What a document of a server says of one group version; {} where it says nothing, or nothing that can be read."""
    if not isinstance(swagger, dict) or not isinstance(swagger.get("paths"), dict):
        return {}
    start = f"/apis/{api_version}/"
    known = swagger.get("parameters")
    parameters = known if isinstance(known, dict) else {}
    paths = {
        path: _spelled_out(item, parameters) for path, item in swagger["paths"].items() if f"{path}/".startswith(start)
    }
    known = swagger.get("definitions")
    definitions = known if isinstance(known, dict) else {}
    part = {"paths": paths, "definitions": _closure(paths, definitions)}
    return part if paths and _is_readable(part) else {}


def _is_readable(part: Swagger) -> bool:
    """Whether it can be said in both encodings: one server's mistake must not take the document from all."""
    try:
        gnostic.encode({"swagger": "2.0", "info": {"title": "", "version": ""}, **part})
    except (AttributeError, LookupError, TypeError, ValueError):
        return False
    return True


def merged(own: Swagger, parts: Sequence[Swagger]) -> Swagger:
    paths, definitions = dict(own["paths"]), dict(own["definitions"])
    for part in parts:
        renamed = _renamed(part, definitions)
        paths |= {path: _refer(item, renamed) for path, item in part["paths"].items()}
        definitions |= {renamed[name]: _refer(each, renamed) for name, each in part["definitions"].items()}
    return {**own, "paths": paths, "definitions": definitions}


def _renamed(part: Swagger, taken: Swagger) -> dict[str, str]:
    """By which names the definitions go into the whole: what says the same as one that is there goes by its name."""
    names: dict[str, str] = {}
    for name, definition in part["definitions"].items():
        wanted, number = name, 1
        while wanted in taken and taken[wanted] != definition:
            number += 1
            wanted = f"{name}_v{number}"
        names[name] = wanted
    return names


def _spelled_out(value: Any, parameters: Swagger) -> Any:
    """With parameters in place of references to them, which the whole may know by other names."""
    if isinstance(value, dict):
        reference = value.get("$ref")
        if isinstance(reference, str) and reference.startswith(_PARAMETERS):
            return parameters.get(reference.removeprefix(_PARAMETERS), value)
        return {key: _spelled_out(each, parameters) for key, each in value.items()}
    return [_spelled_out(each, parameters) for each in value] if isinstance(value, list) else value


def _closure(paths: Swagger, definitions: Swagger) -> Swagger:
    found: Swagger = {}
    waiting = [*_references(paths)]
    while waiting:
        name = waiting.pop()
        if name in definitions and name not in found:
            found[name] = definitions[name]
            waiting += _references(definitions[name])
    return found


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        reference = value.get("$ref")
        if isinstance(reference, str) and reference.startswith(_DEFINITIONS):
            yield reference.removeprefix(_DEFINITIONS)
        for each in value.values():
            yield from _references(each)
    elif isinstance(value, list):
        for each in value:
            yield from _references(each)


def _refer(value: Any, renamed: dict[str, str]) -> Any:
    if isinstance(value, dict):
        made = {key: _refer(each, renamed) for key, each in value.items()}
        reference = made.get("$ref")
        if isinstance(reference, str) and reference.startswith(_DEFINITIONS):
            name = reference.removeprefix(_DEFINITIONS)
            made["$ref"] = f"{_DEFINITIONS}{renamed.get(name, name)}"
        return made
    return [_refer(each, renamed) for each in value] if isinstance(value, list) else value
