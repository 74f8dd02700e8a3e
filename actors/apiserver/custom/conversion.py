"""ConversionReview: what is asked of a definition's webhook so that objects change their version, and its answers.

The webhook may change all but the identity of an object: of its metadata only labels and annotations are taken.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from protocols.errors import ConversionFailed
from protocols.objects import Object, meta, name_of, namespace_of, uid_of

KIND = "ConversionReview"
GROUP = "apiextensions.k8s.io"
REVIEW_VERSIONS = ("v1", "v1beta1")
TIMEOUT_S = 30.0
_CHANGEABLE = ("labels", "annotations")


class ConversionWebhook(NamedTuple):
    """`config` is the WebhookClientConfig; `version` the first of the definition's review versions that there is."""

    config: dict[str, Any]
    version: str


class Wanted(NamedTuple):
    """Objects, none of them in the version that they shall have, and the id of the question."""

    uid: str
    api_version: str
    objects: list[Object]

    @property
    def kind(self) -> str:
        """As errors name it: `shop.example.com/v1, Kind=Widget`."""
        return f"{self.objects[0].get('apiVersion')}, Kind={self.objects[0].get('kind')}"


def webhook_of(definition: Object) -> ConversionWebhook | None:
    """None for the strategy None."""
    conversion = definition["spec"].get("conversion") or {}
    if conversion.get("strategy") != "Webhook":
        return None
    webhook = conversion.get("webhook") or {}
    versions = [each for each in webhook.get("conversionReviewVersions") or () if each in REVIEW_VERSIONS]
    return ConversionWebhook(webhook.get("clientConfig") or {}, versions[0] if versions else REVIEW_VERSIONS[0])


def review(webhook: ConversionWebhook, wanted: Wanted) -> bytes:
    request = {"uid": wanted.uid, "desiredAPIVersion": wanted.api_version, "objects": wanted.objects}
    return orjson.dumps({"kind": KIND, "apiVersion": f"{GROUP}/{webhook.version}", "request": request})


def converted(webhook: ConversionWebhook, wanted: Wanted, body: bytes) -> list[Object]:
    """The objects in the version that was wanted, in the order in which they were sent. Raises ConversionFailed."""
    made = _answered(webhook, wanted, body)
    if len(made) != len(wanted.objects):
        problem = f"returned {len(made)} objects, expected {len(wanted.objects)}"
        raise ConversionFailed(f"conversion webhook for {wanted.kind} {problem}")
    return [_checked(wanted, *pair, index) for index, pair in enumerate(zip(wanted.objects, made, strict=True))]


def failed(wanted: Wanted, why: object) -> ConversionFailed:
    return ConversionFailed(f"conversion webhook for {wanted.kind} failed: {why}")


def _answered(webhook: ConversionWebhook, wanted: Wanted, body: bytes) -> list[Any]:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise failed(wanted, f"couldn't decode the response: {error}") from None
    if not isinstance(answer, dict):
        raise failed(wanted, "the response is no JSON object")
    expected = f"{GROUP}/{webhook.version}"
    if webhook.version == "v1" and (answer.get("apiVersion"), answer.get("kind")) != (expected, KIND):
        found = f"{answer.get('apiVersion') or ''}, Kind={answer.get('kind') or ''}"
        raise failed(wanted, f"expected webhook response of {expected}, Kind={KIND}, got {found}")
    response = answer.get("response")
    if not isinstance(response, dict):
        raise failed(wanted, "no response provided")
    if webhook.version == "v1" and response.get("uid") != wanted.uid:
        raise failed(wanted, f'expected response.uid="{wanted.uid}", got "{response.get("uid") or ""}"')
    result = response.get("result")
    status = result.get("status") if isinstance(result, dict) else None
    if not isinstance(result, dict) or status != "Success":
        said = result.get("message") if isinstance(result, dict) else ""
        raise failed(wanted, said or f"response.result.status was '{status or ''}', not 'Success'")
    objects = response.get("convertedObjects")
    return objects if isinstance(objects, list) else []


def _checked(wanted: Wanted, original: Object, made: Any, index: int) -> Object:
    problem = _problem(wanted, original, made)
    if problem:
        where = f"returned invalid converted object at index {index}"
        raise ConversionFailed(f"conversion webhook for {wanted.kind} {where}: {problem}")
    wrong = next((problem for key in _CHANGEABLE if (problem := _not_strings(key, meta(made).get(key)))), "")
    if wrong:
        where = f"returned invalid metadata in object at index {index}"
        raise ConversionFailed(f"conversion webhook for {wanted.kind} {where}: {wrong}")
    metadata = {key: value for key, value in meta(original).items() if key not in _CHANGEABLE}
    kept = {key: meta(made)[key] for key in _CHANGEABLE if meta(made).get(key)}
    result: Object = {**made, "metadata": {**metadata, **kept}}
    return result


def _problem(wanted: Wanted, original: Object, made: Any) -> str:
    if not isinstance(made, dict) or not isinstance(made.get("metadata"), dict):
        return "it is no object with metadata"
    for what, expected, received in (
        ("groupVersion", wanted.api_version, made.get("apiVersion")),
        ("kind", original.get("kind"), made.get("kind")),
    ):
        if expected != received:
            return f"invalid {what} (expected {expected}, received {received})"
    for what, read in (("name", name_of), ("namespace", namespace_of), ("UID", uid_of)):
        if read(original) != read(made):
            return f"must have the same {what}: {read(original)} != {read(made)}"
    return ""


def _not_strings(key: str, value: Any) -> str:
    if value is None or (isinstance(value, dict) and all(isinstance(each, str) for each in value.values())):
        return ""
    return f"metadata.{key}: it must be a map of strings"
