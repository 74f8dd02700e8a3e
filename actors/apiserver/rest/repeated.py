"""What a document says twice. The last of it counts; who is strict is refused, who wants to be warned is told. So it is
of what the operations of a JSON patch say besides.

In the words of Kubernetes' decoders: of JSON the field is named by its path, of YAML by its line.
"""

from __future__ import annotations

import json
from typing import Any

import orjson

from actors.apiserver.rest.negotiate import JSON, JSON_PATCH, PROTOBUF, media_type_of


def repeated(body: bytes, content_type: str, decoded: Any) -> list[str]:
    """A sentence for each field that is named more than once. `decoded`: what the body was found to say."""
    media_type = media_type_of(content_type)
    if media_type == PROTOBUF:
        return []
    if media_type == JSON or media_type.endswith("+json"):
        twice = [] if _has_its_colons(body, decoded) else repeated_fields(body)
        said = [f'duplicate field "{field}"' for field in twice]
        if media_type != JSON_PATCH:
            return said
        said += [f'unknown field "{field}"' for field in _not_of_an_operation(decoded)]
        return [f"json patch {sentence}" for sentence in said]
    return [] if _is_no_longer(body, decoded) else repeated_keys(body)


def repeated_fields(body: bytes) -> list[str]:
    """Which fields of a JSON document its objects name more than once (`metadata.name`)."""
    root = json.loads(body, object_pairs_hook=_Pairs)
    found, waiting = [], [("", root)]
    while waiting:
        path, here = waiting.pop()
        if isinstance(here, _Pairs):
            found += [f"{path}{key}" for key in here.repeated]
            waiting += [(f"{path}{key}.", value) for key, value in here.items()]
        elif isinstance(here, list):
            waiting += [(f"{path[:-1]}[{index}].", value) for index, value in enumerate(here)]
    return found


def repeated_keys(body: bytes) -> list[str]:
    """The lines of a YAML document that name a key of their map again."""
    import yaml

    found, waiting, seen = [], [yaml.compose(body, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))], set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:  # an alias names what stands elsewhere
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif isinstance(node, yaml.MappingNode):
            waiting += [value for _, value in node.value]
            found += list(_again(node))
    return [f'line {line}: key "{key}" already set in map' for line, key in sorted(found)]


def _not_of_an_operation(operations: Any) -> list[str]:
    """Where the operations of a JSON patch say what no operation knows (`[0].valeu`)."""
    known = ("op", "path", "from", "value")
    each = enumerate(operations if isinstance(operations, list) else ())
    return [f"[{at}].{key}" for at, one in each if isinstance(one, dict) for key in one if key not in known]


def _again(node: Any) -> Any:
    keys: set[str] = set()
    for key, _ in node.value:
        name = key.value if isinstance(key.value, str) else ""
        if name and name in keys:
            yield key.start_mark.line + 1, name
        keys.add(name)


def _has_its_colons(body: bytes, decoded: Any) -> bool:
    """Whether JSON has as many colons as what it says: a field that was said twice would have left one over.
    That is a twentieth of the work of looking at each field."""
    return b"\\u" not in body and body.count(b":") == orjson.dumps(decoded).count(b":")


def _is_no_longer(body: bytes, decoded: Any) -> bool:
    """Whether what is called YAML is compact JSON, as most clients write it, and says just this."""
    return len(body.strip()) == len(orjson.dumps(decoded))


class _Pairs(dict[str, Any]):
    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        seen: set[str] = set()
        self.repeated = [] if len(self) == len(pairs) else [key for key, _ in pairs if key in seen or seen.add(key)]  # type: ignore[func-returns-value]
