"""What holds for every kind: minimal objects are accepted, defaults are known fields, rules never stumble."""

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.apiserver.rules.defaults import apply_defaults
from actors.apiserver.rules.prepare import prepare_create, prepare_update
from actors.apiserver.rules.validate import validate
from actors.apiserver.schema.check import check
from actors.apiserver.schema.resources import RESOURCES, Resource, by_kind
from actors.apiserver.schema.types import Types
from tests.apiserver.rules.minimal import minimal
from tests.apiserver.rules.of_type import objects_of
from tests.effort import examples

TYPES = Types.load()
NOW = 1767225600.0
STORED = [resource for resource in RESOURCES if resource.stored and not resource.alias and TYPES.has(resource)]


def stored(obj: dict[str, Any]) -> tuple[Resource, dict[str, Any]]:
    resource = by_kind(obj["apiVersion"], obj["kind"])
    assert resource is not None
    new = prepare_create(resource, copy.deepcopy(obj), now=NOW, uid="u", suffix="abcde")
    apply_defaults(resource, new)
    return resource, new


def kinds(obj: dict[str, Any]) -> str:
    return str(obj["kind"])


@pytest.mark.parametrize("obj", minimal(), ids=kinds)
def test_the_least_that_people_write_is_accepted(obj: dict[str, Any]) -> None:
    resource, new = stored(obj)

    assert validate(resource, new) == []


@pytest.mark.parametrize("obj", minimal(), ids=kinds)
def test_an_update_that_changes_nothing_is_accepted_and_leaves_the_generation(obj: dict[str, Any]) -> None:
    resource, old = stored(obj)
    sent = copy.deepcopy(old)
    apply_defaults(resource, sent)

    new = prepare_update(resource, old, sent, "")

    assert new == old
    assert validate(resource, new, old) == []


@pytest.mark.parametrize("obj", minimal(), ids=kinds)
def test_defaults_are_fields_that_kubernetes_knows(obj: dict[str, Any]) -> None:
    resource, new = stored(obj)

    checked = check(copy.deepcopy(new), TYPES.of(resource))

    assert (checked.errors, checked.unknown) == ([], [])


def test_every_stored_kind_has_a_minimal_object() -> None:
    assert {obj["kind"] for obj in minimal()} == {resource.kind for resource in STORED}


@pytest.mark.slow
@settings(
    max_examples=examples(250), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(st.data())
def test_whatever_the_schema_lets_through_is_defaulted_once_and_judged_without_a_bug(data: st.DataObject) -> None:
    resource = data.draw(st.sampled_from(STORED))
    obj = data.draw(objects_of(TYPES, resource))
    assert check(copy.deepcopy(obj), TYPES.of(resource)).errors == []

    _, new = stored(obj)
    again = copy.deepcopy(new)
    apply_defaults(resource, again)
    validate(resource, new)
    validate(resource, prepare_update(resource, new, again, ""), new)
    validate(resource, prepare_update(resource, new, again, "status"), new, "status")

    assert again == new
