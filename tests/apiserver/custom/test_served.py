"""What is served is changed by what has changed, and is then what would be found by looking at everything again."""

import itertools
from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from actors.apiserver.cache import Cache
from actors.apiserver.custom.names import DEFINITIONS, settled
from actors.apiserver.custom.served import Served
from actors.apiserver.keys import store_key
from actors.apiserver.schema.resources import Resource
from actors.apiserver.schema.types import Types
from protocols import etcd
from protocols.objects import Object, encode_object

TYPES = Types.load()
GROUPS, PLURALS, VERSIONS = ("one.io", "two.io"), ("knobs", "dials"), ("v1", "v2", "v1beta1")


def definition(plural: str, group: str, versions: list[str]) -> Object:
    kind = plural.removesuffix("s").capitalize()
    schema = {"openAPIV3Schema": {"type": "object"}}
    listed = [{"name": name, "served": True, "storage": not at, "schema": schema} for at, name in enumerate(versions)]
    names = {"plural": plural, "singular": plural.removesuffix("s"), "kind": kind, "listKind": f"{kind}List"}
    obj: Object = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}", "uid": f"{plural}.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": listed},
    }
    return settled(obj, [], 0.0)


def short(found: Resource | None) -> Any:
    return found and (found.group, found.version, found.plural, found.kind, found.storage)


def asked(served: Served) -> list[Any]:
    """Every question about what may be defined."""
    answers: list[Any] = []
    for plural, group in itertools.product(PLURALS, GROUPS):
        answers.append(short(served.find(f"{plural}.{group}")))
        for version in VERSIONS:
            found = served.by_path(group, version, plural)
            versions = served.versions(found) if found is not None else ()
            by_kind = served.by_kind(f"{group}/{version}", plural.removesuffix("s").capitalize())
            answers.append((short(found), short(by_kind), [short(each) for each in versions]))
    return answers


def looked_up(everything: Sequence[Resource]) -> list[Any]:
    """The same answers, found by going through all."""
    answers: list[Any] = []
    for plural, group in itertools.product(PLURALS, GROUPS):
        own = [each for each in everything if (each.plural, each.group) == (plural, group)]
        answers.append(short(own[0] if own else None))
        for version in VERSIONS:
            found = next((each for each in own if each.version == version), None)
            answers.append((short(found), short(found), [short(each) for each in own] if found else []))
    return answers


changes = st.tuples(
    st.sampled_from(PLURALS),
    st.sampled_from(GROUPS),
    st.none() | st.lists(st.sampled_from(VERSIONS), min_size=1, max_size=3, unique=True),
    st.booleans(),
)


@given(st.lists(changes, max_size=12))
def test_it_is_what_a_fresh_look_would_find(history: list[tuple[str, str, list[str] | None, bool]]) -> None:
    cache = Cache()
    served = Served(cache, TYPES)

    for revision, (plural, group, versions, looks) in enumerate(history, 1):
        key = store_key(DEFINITIONS, f"{plural}.{group}")
        value = encode_object(definition(plural, group, versions)) + b"12345678" if versions else b""
        kv = etcd.KeyValue(key, value, revision, revision, 1)
        cache.apply([etcd.Event("put" if versions else "delete", kv)], revision)
        if looks:
            check(served, cache)

    check(served, cache)


def check(served: Served, cache: Cache) -> None:
    fresh = Served(cache, TYPES).all()
    assert [short(each) for each in served.all()] == [short(each) for each in fresh]
    assert asked(served) == looked_up(fresh)
