"""What is remembered of one pod and taken for the next one of its kind is what a close look at that one would find."""

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.apiserver.alike import BYTES_MAX, exactly, is_sound
from actors.apiserver.patch import track_update
from actors.apiserver.patch.compare import compare
from actors.apiserver.patch.fields import in_order, key_step
from actors.apiserver.patch.managers import without_unowned
from actors.apiserver.rules.validate.pods import pod, pod_spec
from actors.apiserver.rules.validate.scheduling import tolerations
from actors.apiserver.schema.check import _walked, check
from actors.apiserver.schema.resources import find
from actors.apiserver.schema.types import Types
from tests.apiserver.rules.of_type import objects_of
from tests.effort import examples

TYPES = Types.load()
PODS = find("pods")
assert PODS is not None
POD = TYPES.of(PODS)
# As clients send it: also with what a check changes, drops or refuses.
_ODD = st.sampled_from([{"schedulerName": None}, {"noSuchField": 1}, {"priority": "high"}, {"hostPID": 1}, {}, {}])


@st.composite
def sent(draw: st.DrawFn) -> dict[str, Any]:
    obj = draw(objects_of(TYPES, PODS))
    return {**obj, "spec": {**obj["spec"], **draw(_ODD)}}


@pytest.mark.slow
@settings(max_examples=examples(200), suppress_health_check=[HealthCheck.too_slow])
@given(sent())
def test_the_second_of_a_kind_is_checked_judged_and_tracked_as_the_first(obj: dict[str, Any]) -> None:
    closely = copy.deepcopy(obj)
    found = _walked(closely, POD)
    errors = [*pod_spec("spec", closely["spec"], is_pod=True)]
    fields = in_order(without_unowned(compare(POD, {}, closely).changed))

    for name in ("a", "b"):
        one = copy.deepcopy({**obj, "metadata": {**obj["metadata"], "name": name}})
        assert check(one, POD) == found
        assert one["spec"] == closely["spec"] and list(one) == list(closely)
        if not found.errors:
            gated = [error for error in pod(one, None) if "ephemeralContainers" not in error.field]
            assert gated == [error for error in errors if "ephemeralContainers" not in error.field]
            tracked = track_update(TYPES, PODS, None, one, manager=name, now=0.0)
            entries = tracked["metadata"].get("managedFields", [])
            assert [(entry["manager"], entry["fieldsV1"]) for entry in entries] == ([(name, fields)] if fields else [])


def test_values_that_compare_equal_are_not_therefore_alike() -> None:
    assert len({exactly({"a": value}) for value in (1, 1.0, True, "1")}) == 4


@pytest.mark.parametrize("value", [2**70, "\ud800", {"a": "x" * BYTES_MAX}, {(1, 2): object()}])
def test_nothing_is_remembered_of_what_is_large_or_cannot_be_stored(value: Any) -> None:
    assert exactly(value) is None


def test_steps_are_of_equal_values_only_if_they_are_written_alike() -> None:
    steps = [key_step({"port": value}) for value in (1, True, 1.0, "1")]

    assert steps == ['k:{"port":1}', 'k:{"port":true}', 'k:{"port":1.0}', 'k:{"port":"1"}']


def test_what_is_wrong_with_a_part_is_said_each_time_and_where_it_is() -> None:
    odd = [{"key": "a", "operator": "Near"}]
    even = [{"key": "a", "operator": "Exists"}]

    for _ in range(2):
        assert is_sound(tolerations, even) and not is_sound(tolerations, odd)
        for where in ("spec", "template.spec"):
            spec = {"containers": [{"name": "c", "image": "i"}], "tolerations": odd}
            found = [error.field for error in pod_spec(where, spec, is_pod=True) if "tolerations" in error.field]
            assert found == [f"{where}.tolerations[0].operator"]
