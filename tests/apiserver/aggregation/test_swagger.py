"""What another server says in OpenAPI v2, as Kubernetes' library has it said, is part of the whole."""

from __future__ import annotations

from typing import Any

from actors.apiserver.aggregation.swagger import merged, part_of
from actors.apiserver.schema import gnostic

LIMIT = {"uniqueItems": True, "type": "integer", "description": "so many", "name": "limit", "in": "query"}
PATH = "/apis/metrics.example.com/v1/nodes"


def _theirs() -> dict[str, Any]:
    """The form of one that was seen: parameters are referred to by names with hashes."""
    listing = {
        "description": "list objects of kind NodeMetrics",
        "consumes": ["application/json"],
        "produces": ["application/json"],
        "schemes": ["https"],
        "tags": ["metricsExampleCom_v1"],
        "operationId": "listMetricsExampleComV1NodeMetrics",
        "deprecated": True,
        "parameters": [{"$ref": "#/parameters/limit-1NfNmdNH"}],
        "responses": {"200": {"description": "OK", "schema": {"$ref": "#/definitions/NodeMetricsList"}}},
    }
    return {
        "swagger": "2.0",
        "paths": {PATH: {"get": listing}, "/version/": {}},
        "definitions": {
            "NodeMetricsList": {
                "type": "object",
                "properties": {"items": {"type": "array", "minItems": 0, "items": {"type": "string", "default": ""}}},
                "additionalProperties": False,
            },
            "Other": {"type": "object"},
        },
        "parameters": {"limit-1NfNmdNH": LIMIT},
        "security": [{"BearerToken": []}],
    }


def test_parameters_stand_where_they_were_referred_to() -> None:
    part = part_of(_theirs(), "metrics.example.com/v1")

    assert part["paths"][PATH]["get"]["parameters"] == [LIMIT]
    assert [*part["paths"]] == [PATH] and [*part["definitions"]] == ["NodeMetricsList"]


def test_the_whole_can_be_said_in_protobuf() -> None:
    own = {"swagger": "2.0", "info": {"title": "", "version": ""}, "paths": {}, "definitions": {}}

    whole = gnostic.encode(merged(own, [part_of(_theirs(), "metrics.example.com/v1")]))

    assert b"listMetricsExampleComV1NodeMetrics" in whole and b"so many" in whole
