"""Ours warns of what a real kube-apiserver was seen to warn of, in its order."""

import copy

import pytest

from actors.apiserver.rules.defaults import apply_defaults
from actors.apiserver.rules.prepare import prepare_create, prepare_update
from actors.apiserver.rules.warn import warnings
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
