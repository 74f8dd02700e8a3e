"""A definition in the shape in which people generate theirs, and objects of it."""

from __future__ import annotations

from typing import Any

from protocols.objects import Object

GROUP = "shop.example.com"
WIDGETS = f"widgets.{GROUP}"
CRDS = "customresourcedefinitions.apiextensions.k8s.io"
PATH = f"/apis/{GROUP}/v1/namespaces/default/widgets"
CRD_PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

SPEC: dict[str, Any] = {
    "type": "object",
    "description": "What is wanted.",
    "required": ["color"],
    "properties": {
        "color": {"type": "string", "enum": ["red", "green"], "description": "How it looks."},
        "replicas": {"type": "integer", "minimum": 0, "maximum": 10, "default": 1},
        "port": {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]},
        "tag": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 5, "nullable": True},
        "options": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "template": {
            "type": "object",
            "x-kubernetes-embedded-resource": True,
            "x-kubernetes-preserve-unknown-fields": True,
        },
        "ports": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {"type": "string"},
                    "number": {"type": "integer"},
                    "protocol": {"type": "string", "default": "TCP"},
                },
            },
        },
    },
}
STATUS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "replicas": {"type": "integer"},
        "selector": {"type": "string"},
        "conditions": {
            "type": "array",
            "items": {"type": "object", "properties": {"type": {"type": "string"}, "status": {"type": "string"}}},
        },
    },
}


def version(name: str = "v1", *, storage: bool = True, spec: dict[str, Any] | None = None, **more: Any) -> Object:
    properties = {"spec": SPEC if spec is None else spec, "status": STATUS}
    scale = {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }
    return {
        "name": name,
        "served": True,
        "storage": storage,
        "schema": {"openAPIV3Schema": {"type": "object", "description": "A thing to sell.", "properties": properties}},
        "subresources": {"status": {}, "scale": scale},
        "additionalPrinterColumns": [
            {"name": "Color", "type": "string", "jsonPath": ".spec.color"},
            {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status'},
            {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        ],
        "selectableFields": [{"jsonPath": ".spec.color"}],
        **more,
    }


def definition(*versions: Object, plural: str = "widgets", scope: str = "Namespaced", **names: Any) -> Object:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": scope,
            "names": {"plural": plural, "kind": "Widget", "shortNames": ["wd"], "categories": ["all"], **names},
            "versions": list(versions) or [version()],
        },
    }


def widget(name: str = "one", api_version: str = "v1", **spec: Any) -> Object:
    metadata = {"name": name, "namespace": "default"}
    head = {"apiVersion": f"{GROUP}/{api_version}", "kind": "Widget", "metadata": metadata}
    return {**head, "spec": {"color": "red", **spec}}
