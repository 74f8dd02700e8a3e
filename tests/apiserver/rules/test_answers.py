"""Ours says of an object what a real kube-apiserver was seen to say, to the letter."""

import pytest

from actors.apiserver.patch.merge_patch import merge_patch
from actors.apiserver.rules.defaults import apply_defaults
from actors.apiserver.rules.prepare import prepare_create, prepare_update
from actors.apiserver.rules.validate import invalid, validate
from actors.apiserver.schema.check import check
from actors.apiserver.schema.types import Types
from protocols.objects import name_of
from tests.apiserver.rules.answers import Seen, Updated, seen, updated
from tests.apiserver.rules.judged import NOW, changed, resource_of
from tests.apiserver.rules.minimal import minimal_of

TYPES = Types.load()


def answer(kind: str, changes: dict[str, object]) -> str:
    obj = changed(minimal_of(kind), changes)
    resource = resource_of(obj)
    check(obj, TYPES.of(resource))
    apply_defaults(resource, obj)
    new = prepare_create(resource, obj, now=NOW, uid="u", suffix="abcde")
    errors = validate(resource, new)
    return str(invalid(resource, name_of(new), errors)) if errors else ""


@pytest.mark.parametrize("each", seen(), ids=str)
def test_the_answer_is_the_one_that_was_seen(each: Seen) -> None:
    assert answer(each.kind, each.changes) == each.answer


def updated_answer(each: Updated) -> str:
    obj = changed(minimal_of(each.kind), each.changes)
    resource = resource_of(obj)
    check(obj, TYPES.of(resource))
    apply_defaults(resource, obj)
    old = prepare_create(resource, obj, now=NOW, uid="u", suffix="abcde")
    if each.status is not None:
        old = prepare_update(resource, old, merge_patch(old, each.status), "status")
    new = changed(old, each.updates)
    check(new, TYPES.of(resource))
    apply_defaults(resource, new)
    new = prepare_update(resource, old, new, each.subresource)
    errors = validate(resource, new, old, each.subresource)
    return str(invalid(resource, name_of(new), errors)) if errors else ""


@pytest.mark.parametrize("each", updated(), ids=str)
def test_an_update_is_answered_as_was_seen(each: Updated) -> None:
    assert updated_answer(each) == each.answer
