"""Revisions of a template: named by it, found again by it, and what puts it back."""

from __future__ import annotations

from typing import Any

import pytest

from actors.controllers import history
from protocols.objects import Object, meta, name_of


def daemon_set(image: str = "one", **status: Any) -> Object:
    template = {"metadata": {"labels": {"app": "log"}}, "spec": {"containers": [{"name": "c", "image": image}]}}
    metadata = {"name": "log", "namespace": "default", "uid": "u", "annotations": {"deprecated": "no"}}
    return {"metadata": metadata, "spec": {"template": template, "minReadySeconds": 3}, "status": status}


def revision(image: str, number: int) -> Object:
    return history.new_revision(daemon_set(image), "DaemonSet", number, history.HASH_LABEL)


def test_a_revision_has_its_sets_labels_annotations_and_owner() -> None:
    made = revision("one", 4)

    digest = meta(made)["labels"][history.HASH_LABEL]
    assert name_of(made) == f"log-{digest}"
    assert meta(made)["labels"] == {"app": "log", history.HASH_LABEL: digest}
    assert meta(made)["annotations"] == {"deprecated": "no"}
    assert [(r["kind"], r["uid"], r["controller"]) for r in meta(made)["ownerReferences"]] == [("DaemonSet", "u", True)]
    assert (made["revision"], made["data"]["spec"]["template"]["$patch"]) == (4, "replace")


def test_a_name_that_is_taken_by_another_template_is_left_for_another() -> None:
    again = history.new_revision(daemon_set(collisionCount=1), "DaemonSet", 1, history.HASH_LABEL)

    assert name_of(again) != name_of(revision("one", 1))


def test_the_name_of_a_long_named_set_stays_a_name() -> None:
    long = daemon_set()
    long["metadata"]["name"] = "l" * 253

    assert len(name_of(history.new_revision(long, "DaemonSet", 1, history.HASH_LABEL))) <= 253


@pytest.mark.parametrize("image", ["one", "two"])
def test_a_template_that_was_there_before_is_found_and_put_back(image: str) -> None:
    revisions = [revision("two", 2), revision("one", 1)]

    (found,) = history.same_template(daemon_set(image), revisions)

    assert history.number_of(found) == {"one": 1, "two": 2}[image]
    assert history.with_template(daemon_set("three"), found) == daemon_set(image)


def test_what_says_nothing_makes_no_other_template() -> None:
    spoken = daemon_set()
    spoken["spec"]["template"]["spec"]["nodeName"] = None

    assert history.same_template(spoken, [revision("one", 1)])


def test_numbers_go_on_from_the_highest() -> None:
    assert history.next_number([]) == 1
    assert history.next_number([revision("two", 7), revision("one", 3)]) == 8
