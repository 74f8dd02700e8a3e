"""Roles that gather the rules of others, by their labels."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.controllers import clusterrole_aggregation
from actors.controllers.clusterrole_aggregation import RESOURCE
from protocols.objects import Object
from protocols.rules.selectors import selector_matches
from tests.controllers.virtual_time import run
from tests.controllers.world import World

VIEW = {"matchLabels": {"to-view": "true"}}


def rule(resource: str) -> dict[str, Any]:
    return {"apiGroups": [""], "resources": [resource], "verbs": ["get"]}


def role(name: str, *resources: str, labels: dict[str, str] | None = None, selectors: Any = None) -> Object:
    rules = [rule(resource) for resource in resources]
    gathers = {"aggregationRule": {"clusterRoleSelectors": selectors}} if selectors is not None else {}
    return {"metadata": {"name": name, "labels": labels or {}}, "rules": rules, **gathers}


def in_world(scenario: Any, seed: int = 0) -> None:
    async def play() -> None:
        async with World(clusterrole_aggregation.controller(), seed=seed) as world:
            await scenario(world)

    run(play())


def test_rules_come_and_go_with_the_roles_that_are_labelled() -> None:
    async def scenario(world: World) -> None:
        world.create(RESOURCE, role("view", "made-up", selectors=[VIEW]))
        world.create(RESOURCE, role("one", "pods", "secrets", labels={"to-view": "true"}))
        world.create(RESOURCE, role("other", "nodes"))
        await world.settled()
        gathered = [world.get(RESOURCE, "view", "")["rules"]]
        world.create(RESOURCE, role("two", "pods", "widgets", labels={"to-view": "true"}))
        await world.settled()
        gathered.append(world.get(RESOURCE, "view", "")["rules"])
        world.delete(RESOURCE, "one", "")
        await world.settled()
        gathered.append(world.get(RESOURCE, "view", "")["rules"])

        pods, secrets, widgets = rule("pods"), rule("secrets"), rule("widgets")
        assert gathered == [[pods, secrets], [pods, secrets, widgets], [pods, widgets]]

    in_world(scenario)


def test_a_role_that_gathers_is_gathered_itself() -> None:
    async def scenario(world: World) -> None:
        world.create(RESOURCE, role("edit", selectors=[{"matchLabels": {"to-edit": "true"}}]))
        world.create(RESOURCE, role("view", labels={"to-edit": "true"}, selectors=[VIEW]))
        world.create(RESOURCE, role("one", "pods", labels={"to-view": "true"}))
        await world.settled()

        assert world.get(RESOURCE, "edit", "")["rules"] == [rule("pods")]

    in_world(scenario)


KEYS, VALUES = ("a", "b"), ("1", "2")
labels = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES))
expressions = st.builds(
    lambda key, operator, values: {"key": key, "operator": operator, "values": values},
    st.sampled_from(KEYS),
    st.sampled_from(("In", "NotIn")),
    st.lists(st.sampled_from(VALUES), min_size=1, max_size=2, unique=True),
)
selectors = st.fixed_dictionaries(
    {}, optional={"matchLabels": labels, "matchExpressions": st.lists(expressions, max_size=2)}
)


@pytest.mark.slow
@settings(max_examples=40)
@given(st.lists(labels, max_size=5), st.lists(selectors, max_size=2), st.integers(0, 1000))
def test_it_gathers_what_matches_through_all_unrest(
    roles: list[dict[str, str]], wanted: list[dict[str, Any]], seed: int
) -> None:
    async def scenario(world: World) -> None:
        made = [role(f"role-{number}", f"thing-{number}", labels=each) for number, each in enumerate(roles)]
        everything = [role("gathers", selectors=wanted), *made]
        await world.unrest(5.0, [lambda each=each: world.create(RESOURCE, each) for each in everything])
        await world.settled()

        expected = {
            f"thing-{number}"
            for number, given_labels in enumerate(roles)
            if any(selector_matches(selector, given_labels) for selector in wanted)
        }
        found = [each["resources"][0] for each in world.get(RESOURCE, "gathers", "").get("rules") or ()]
        assert (set(found), len(found)) == (expected, len(expected))

    in_world(scenario, seed)
