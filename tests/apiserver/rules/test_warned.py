"""Ours warns of what a real kube-apiserver was seen to warn of, in its order."""

import copy
from typing import Any

import pytest

from actors.apiserver.rules.defaults import apply_defaults
from actors.apiserver.rules.prepare import prepare_create, prepare_update
from actors.apiserver.rules.warn import warnings
from actors.apiserver.rules.warn.paths import overlapping
from actors.apiserver.rules.warn.ports import ALIKE_MAX, ports
from actors.apiserver.schema.check import check
from actors.apiserver.schema.types import Types
from tests.apiserver.rules.answers import Warned, warned
from tests.apiserver.rules.judged import NOW, changed, resource_of
from tests.apiserver.rules.minimal import minimal_of

TYPES = Types.load()


@pytest.mark.parametrize("each", warned(), ids=str)
def test_what_is_warned_of_is_what_was_seen(each: Warned) -> None:
    obj = changed(minimal_of(each.kind), each.changes)
    resource = resource_of(obj)
    check(obj, TYPES.of(resource))
    apply_defaults(resource, obj)
    made, old = prepare_create(resource, obj, now=NOW, uid="u", suffix="abcde"), None

    if each.updates is not None:
        old, changes = made, changed(copy.deepcopy(made), each.updates)
        apply_defaults(resource, changes)
        made = prepare_update(resource, old, changes, "")

    assert list(warnings(resource, made, old)) == each.texts


def test_of_many_ports_that_are_alike_few_are_named_to_each() -> None:
    alike = {"containers": [{"ports": [{"containerPort": 80, "protocol": "TCP"}] * 1_000}]}

    said = list(ports("spec", alike))

    assert said[0] == "spec.containers[0].ports[1]: duplicate port definition with spec.containers[0].ports[0]"
    assert len(said) < 1_000 * ALIKE_MAX


def test_of_a_volume_with_many_files_the_first_are_compared() -> None:
    volume = {"name": "v", "secret": {"items": [{"key": "a", "path": f"a/{n}"} for n in range(10_000)]}}
    twice = {"key": "b", "path": "a/0"}

    said = {at: [*overlapping(_with_item(volume, at, twice))] for at in (1, 9_999)}

    assert said[1] and not said[9_999]


def _with_item(volume: dict[str, Any], at: int, item: dict[str, str]) -> dict[str, Any]:
    items = [*volume["secret"]["items"]]
    items.insert(at, item)
    return {**volume, "secret": {"items": items}}
