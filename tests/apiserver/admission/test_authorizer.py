"""`authorizer` in expressions of admission: what who asks may do besides decides, and what an account may."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from protocols.objects import Object
from tests.apiserver.access.test_access_rest import ROLES, grant
from tests.apiserver.admission import test_mutations as mutations
from tests.apiserver.admission.test_policies import policy
from tests.apiserver.rest_client import Rest, rest
from tests.apiserver.world import config_map

GROUP = "/apis/admissionregistration.k8s.io/v1"
MAPS = "/api/v1/namespaces/default/configmaps"
CREATE = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create"]}
BREAK = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["breakglass"], "resourceNames": ["mended"]}
RULE = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Rest]:
    """`robot` (the token `good`) may create config maps, `jane` may also break the glass of one."""
    async with rest(tmp_path) as client:
        await grant(client, "jane", CREATE, BREAK)
        await client.create(ROLES, {"metadata": {"name": "robot"}, "rules": [CREATE]})
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "robot"}
        robot = {"metadata": {"name": "robot"}, "roleRef": reference, "subjects": [{"kind": "User", "name": "robot"}]}
        await client.create(ROLES.replace("roles", "rolebindings"), robot)
        yield client


async def enact(api: Rest, *validations: Object | str) -> None:
    await api.create(f"{GROUP}/validatingadmissionpolicies", policy(*validations, resources=("configmaps",)))
    binding = {"metadata": {"name": "b"}, "spec": {"policyName": "p", "validationActions": ["Deny"]}}
    await api.create(f"{GROUP}/validatingadmissionpolicybindings", binding)


async def codes(api: Rest, *asked: tuple[str, str]) -> list[int]:
    answers = await asyncio.gather(*(api.by(token, "POST", MAPS, config_map(name)) for token, name in asked))
    return [answer.code for answer in answers]


@pytest.mark.parametrize(
    "rule",
    [
        "authorizer.requestResource.check('breakglass').allowed()",
        "authorizer.group('').resource('configmaps').namespace('default').name('mended').check('breakglass').allowed()",
    ],
)
async def test_a_policy_asks_what_who_makes_the_request_may_do(api: Rest, rule: str) -> None:
    await enact(api, f"request.name != 'mended' || {rule}")

    assert await codes(api, ("good", "mended"), ("good", "other"), ("jane", "mended")) == [422, 201, 201]


async def test_of_requests_at_the_same_time_each_is_asked_about_its_own_user(api: Rest) -> None:
    who = "authorizer.requestResource.check('breakglass').allowed()"
    await enact(api, {"expression": who, "reason": "Forbidden"})
    names = [f"m{n}" for n in range(8)]
    await api.send(
        "PUT", f"{ROLES}/jane", {"metadata": {"name": "jane"}, "rules": [CREATE, {**BREAK, "resourceNames": names}]}
    )

    answers = await codes(api, *((token, name) for name in names for token in ("good", "jane")))

    assert [code == 201 for code in answers] == [False, True] * 8


@pytest.mark.slow
async def test_an_account_may_be_asked_about_and_a_path(api: Rest) -> None:
    account = "authorizer.serviceAccount('default', 'robot').group('').resource('configmaps').namespace('default')"
    await enact(
        api,
        f"{account}.check('create').allowed() == (request.name == 'after')",
        "authorizer.path('/healthz').check('get').allowed() && !authorizer.path('/metrics').check('get').allowed()",
        f"!{account}.check('create').errored() && {account}.check('create').error() == ''",
    )

    before = await codes(api, ("good", "before"))
    subject = {"kind": "ServiceAccount", "name": "robot", "namespace": "default"}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "robot"}
    binding = {"metadata": {"name": "account"}, "roleRef": reference, "subjects": [subject]}
    await api.create(ROLES.replace("roles", "rolebindings"), binding)

    assert before == [201]
    assert await codes(api, ("good", "after"), ("good", "late")) == [201, 422]


async def test_who_may_is_left_alone_by_a_webhook(api: Rest) -> None:
    """Nobody listens where it is: who has to ask it is refused."""
    condition = {"name": "glass", "expression": "!authorizer.requestResource.check('breakglass').allowed()"}
    hook = {
        "name": "no.example.com",
        "clientConfig": {"url": "https://localhost:1/"},
        "rules": [RULE],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "matchConditions": [condition],
    }
    await api.create(f"{GROUP}/validatingwebhookconfigurations", {"metadata": {"name": "v"}, "webhooks": [hook]})

    assert await codes(api, ("good", "mended"), ("jane", "mended")) == [500, 201]


async def test_what_changes_objects_asks_too(api: Rest) -> None:
    label = "authorizer.requestResource.check('breakglass').allowed() ? 'trusted' : 'plain'"
    made = mutations.policy(mutations.apply(f"Object{{metadata: Object.metadata{{labels: {{'by': {label}}}}}}}"))
    await api.create(f"{GROUP}/mutatingadmissionpolicies", made)
    await api.create(
        f"{GROUP}/mutatingadmissionpolicybindings", {"metadata": {"name": "b"}, "spec": {"policyName": "p"}}
    )

    jane = await api.by("jane", "POST", MAPS, config_map("mended"))
    robot = await api.by("good", "POST", MAPS, config_map("other"))

    assert [each.json["metadata"]["labels"]["by"] for each in (jane, robot)] == ["trusted", "plain"]


@pytest.mark.parametrize(
    ("validation", "why"),
    [
        (
            {"expression": "true", "messageExpression": "authorizer.path('/').check('get').reason()"},
            "undeclared reference",
        ),
        ({"expression": "authorizer.path('/').allowed()"}, "found no matching overload for 'allowed'"),
        ({"expression": "authorizer.path('/').check('get')"}, "must evaluate to bool"),
    ],
)
async def test_what_cannot_be_asked_is_refused_with_the_policy(api: Rest, validation: Object, why: str) -> None:
    refused = await api.send(
        "POST", f"{GROUP}/validatingadmissionpolicies", policy(validation, resources=("configmaps",))
    )

    assert refused.code == 422 and why in refused.json["message"]


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("authorizer.path(' ').check('get').allowed()", "path must not be empty"),
        ("authorizer.group('').resource('').check('get').allowed()", "resource must not be empty"),
        ("authorizer.serviceAccount('A', 'a').path('/').check('get').allowed()", "Invalid service account namespace"),
        ("authorizer.serviceAccount('a', 'A').path('/').check('get').allowed()", "Invalid service account name"),
        ("authorizer.group('').resource(dyn(1)).check('get').allowed()", "no such overload"),
    ],
)
async def test_what_makes_no_sense_when_it_is_asked_refuses_the_request(api: Rest, expression: str, why: str) -> None:
    await enact(api, expression)

    refused = await api.by("jane", "POST", MAPS, config_map("a"))

    assert refused.code == 422 and why in refused.json["message"]
