"""Objects of a definition with every kind of schema, and what a kube-apiserver 1.36.2 said of each.

`answers.txt` begins with the properties of the spec. Each line after it is an object (what it has beside its kind and
the name `a`), the answer (201 and the spec that came of it, 422 and the causes, 400 and the message), and the warnings.
Causes come in any order: there they are those of Go's maps.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.apiserver.custom.widgets import CRD_PATH, GROUP
from tests.apiserver.rest_client import rest

ANSWERS = Path(__file__).with_name("answers.txt")
PATH = f"/apis/{GROUP}/v1/namespaces/default/things"
MERGE = "application/merge-patch+json"
SCALE = {
    "specReplicasPath": ".spec.i",
    "statusReplicasPath": ".status.replicas",
    "labelSelectorPath": ".status.selector",
}
STATUS: dict[str, Any] = {"replicas": {"type": "integer"}, "selector": {"type": "string"}}
DEMANDING: dict[str, Any] = {
    "type": "object",
    "required": ["a"],
    "properties": {
        **STATUS,
        "a": {"type": "integer", "maximum": 3},
        "phase": {"type": "string", "minLength": 1},
        "x": {"type": "object", "oneOf": [{"required": ["q"]}], "properties": {"q": {"type": "string"}}},
    },
}


def definition(spec: dict[str, Any], status: dict[str, Any] | None = None) -> dict[str, Any]:
    plain = {"type": "object", "properties": STATUS}
    properties = {"spec": {"type": "object", "properties": spec}, "status": status or plain}
    schema = {"type": "object", "properties": properties}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}, "scale": SCALE},
    }
    names = {"plural": "things", "kind": "Thing"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"things.{GROUP}"},
        "spec": {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]},
    }


def thing(**more: Any) -> dict[str, Any]:
    obj = {"apiVersion": f"{GROUP}/v1", "kind": "Thing", "metadata": {"name": "a"}, **more}
    return {key: value for key, value in obj.items() if value is not None or key != "kind"}


def said(answer: Any) -> list[Any]:
    code, body = answer.code, answer.json
    if code < 400:
        return [code, body.get("spec")]
    causes = body.get("details", {}).get("causes") or ()
    told = sorted(f"{cause['reason']} {cause['field']}: {cause['message']}" for cause in causes)
    return [code, told or body["message"]]


def warnings(answer: Any) -> list[str]:
    return [each[len('299 - "') : -1].replace('\\"', '"') for each in answer.headers.getall("Warning", ())]


async def test_objects_are_judged_as_kubernetes_judges_them(tmp_path: Path) -> None:
    schema, *lines = ANSWERS.read_text().splitlines()
    different = []
    async with rest(tmp_path) as client:
        await client.create(CRD_PATH, definition(json.loads(schema)))
        for line in lines:
            more, expected, warned = json.loads(line)
            answer = await client.send("POST", f"{PATH}?dryRun=All", json.dumps(thing(**more)).encode())
            if [said(answer), sorted(warnings(answer))] != [expected, sorted(warned)]:
                different.append((more, expected, said(answer), warned, warnings(answer)))

    assert len(lines) > 300
    assert different == []


@pytest.mark.parametrize(
    ("status", "causes"),
    [
        ({"phase": "x"}, ["FieldValueRequired status.a: Required value"]),
        (
            {"phase": "", "a": 9},
            [
                "FieldValueInvalid status.a: Invalid value: 9: a in body should be less than or equal to 3",
                'FieldValueInvalid status.phase: Invalid value: "": phase in body should be at least 1 chars long',
            ],
        ),
        (
            {"a": 1, "x": {}},
            [
                'FieldValueInvalid status: Invalid value: "": "x" must validate one and only one schema (oneOf). '
                "Found none valid",
                "FieldValueRequired status.x.q: Required value",
            ],
        ),
        (
            "x",
            [
                "FieldValueInvalid .status.replicas: Invalid value: 0: .status.replicas accessor error: x is of the "
                "type string, expected map[string]interface{}",
                'FieldValueInvalid .status.selector: Invalid value: "": .status.selector accessor error: x is of the '
                "type string, expected map[string]interface{}",
                'FieldValueTypeInvalid status: Invalid value: "string":  in body must be of type object: "string"',
            ],
        ),
        (
            {"a": 1, "replicas": 2**31},
            [
                "FieldValueInvalid .status.replicas: Invalid value: 2147483648: should be less than or equal to "
                "2147483647"
            ],
        ),
    ],
)
async def test_a_status_is_held_against_its_own_schema(tmp_path: Path, status: Any, causes: list[str]) -> None:
    async with rest(tmp_path) as client:
        await client.create(CRD_PATH, definition({}, DEMANDING))
        await client.create(PATH, thing())

        answer = await client.send("PATCH", f"{PATH}/a/status", {"status": status}, content_type=MERGE)

    assert said(answer) == [422, causes]


@pytest.mark.parametrize(
    ("patch", "answer"),
    [
        ({"metadata": {"labels": {"a": "b"}}}, 'the spec replicas field ".spec.i" cannot be empty'),
        ({"spec": {"replicas": 0}}, ""),
        ({"spec": {"replicas": 3}}, ""),
    ],
)
async def test_a_scale_without_a_number_is_not_one_of_zero(tmp_path: Path, patch: Any, answer: str) -> None:
    async with rest(tmp_path) as client:
        await client.create(CRD_PATH, definition({"i": {"type": "integer"}}))
        await client.create(PATH, thing())

        scaled = await client.send("PATCH", f"{PATH}/a/scale", patch, content_type=MERGE)
        stored = (await client.send("GET", f"{PATH}/a")).json

    assert (scaled.code, scaled.json.get("message", "")) == ((400, answer) if answer else (200, ""))
    assert stored.get("spec", {}).get("i") == (None if answer else patch["spec"]["replicas"])


@pytest.mark.parametrize(
    ("wrong", "code", "message"),
    [
        (
            {"kind": "Pod"},
            422,
            f'Pod.{GROUP} "a" is invalid: kind: Invalid value: "Pod": must be Thing',
        ),
        (
            {"apiVersion": ""},
            400,
            f"the API version in the data () does not match the expected API version ({GROUP}/v1)",
        ),
        (
            {"kind": None},
            400,
            "the object provided is unrecognized (must be of type Thing): Object 'Kind' is missing in "
            '\'{"apiVersion":"shop.example.com/v1","metadata":{"name":"a"}}\' ({"apiVersion":"shop.example.co ...)',
        ),
    ],
)
async def test_an_object_must_say_what_it_is(tmp_path: Path, wrong: Any, code: int, message: str) -> None:
    async with rest(tmp_path) as client:
        await client.create(CRD_PATH, definition({}))

        answer = await client.send("POST", PATH, thing(**wrong))

    assert (answer.code, answer.json["message"]) == (code, message)


async def test_a_patch_of_no_known_type_is_told_which_there_are(tmp_path: Path) -> None:
    async with rest(tmp_path) as client:
        await client.create(CRD_PATH, definition({}))
        await client.create(PATH, thing())

        answer = await client.send("PATCH", f"{PATH}/a", {}, content_type="text/plain")

    assert answer.code == 415
    assert answer.json["message"].endswith(
        "accepted media types include: application/json-patch+json, application/merge-patch+json, "
        "application/apply-patch+yaml"
    )
