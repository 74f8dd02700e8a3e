"""Devices: classes, claims of some, slices that have some, and pods that use them; what is refused, in which words."""

from typing import Any

import pytest

from tests.apiserver.rules.judged import ABSENT, created, problems, update_problems

UID = "5c8a1bb2-0f0e-4a6c-9d3e-1f4f6f3f0b11"
SUBDOMAIN = "a lowercase RFC 1123 subdomain must consist of"
EXACTLY = {"deviceClassName": "a"}
TWO_KINDS = "exactly one of `exactly` or `firstAvailable` is required"
REQUEST_NAME = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"
COSTLY = "device.attributes.all(a, device.attributes.all(b, device.attributes.all(c, device.attributes.all(d, a < b))))"
POLICY = "spec.devices[0].capacity[memory].requestPolicy"
RESULT = {"request": "gpu", "driver": "gpu.example.com", "pool": "node-1", "device": "gpu-0"}
ALLOCATED = {"devices": {"results": [RESULT]}}
DEVICE = {"driver": "gpu.example.com", "pool": "node-1", "device": "gpu-0"}


def selector(text: str) -> list[dict[str, Any]]:
    return [{"cel": {"expression": text}}]


def shared(policy: dict[str, Any]) -> dict[str, Any]:
    capacity = {"memory": {"value": "40Gi", "requestPolicy": policy}}
    return {"spec.devices": [{"name": "gpu-0", "allowMultipleAllocations": True, "capacity": capacity}]}


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("DeviceClass", {"spec.selectors": [{}]}, "spec.selectors[0].cel: Required value"),
        (
            "DeviceClass",
            {"spec.selectors": selector("device.price > 3")},
            'spec.selectors[0].cel.expression: Invalid value: "device.price > 3": compilation failed: ERROR: '
            "<input>:1:7: undefined field 'price'",
        ),
        (
            "DeviceClass",
            {"spec.selectors": selector(COSTLY)},
            "spec.selectors[0].cel.expression: Forbidden: too complex, exceeds cost limit",
        ),
        (
            "DeviceClass",
            {"spec.selectors": selector("true || " * 1300 + "true")},
            "spec.selectors[0].cel.expression: Too long: may not be more than 10240 bytes",
        ),
        (
            "DeviceClass",
            {"spec.selectors": selector("true") * 33},
            "spec.selectors: Too many: 33: must have at most 32 items",
        ),
        ("DeviceClass", {"spec.config": [{}]}, "spec.config[0].opaque: Required value"),
        (
            "DeviceClass",
            {"spec.config": [{"opaque": {"driver": "a", "parameters": [1]}}]},
            "spec.config[0].opaque.parameters: Invalid value: must be a valid JSON object",
        ),
        (
            "DeviceClass",
            {"spec.extendedResourceName": "gpu"},
            'spec.extendedResourceName: Invalid value: "gpu": must be a valid extended resource name',
        ),
        (
            "ResourceClaim",
            {"spec.devices.requests": [{"name": "gpu"}]},
            f"spec.devices.requests[0]: Required value: {TWO_KINDS}",
        ),
        (
            "ResourceClaim",
            {
                "spec.devices.requests": [
                    {"name": "gpu", "exactly": EXACTLY, "firstAvailable": [{"name": "a", **EXACTLY}]}
                ]
            },
            f"spec.devices.requests[0]: Invalid value: null: {TWO_KINDS}, but multiple fields are set",
        ),
        (
            "ResourceClaim",
            {"spec.devices.requests": [{"name": "gpu", "exactly": EXACTLY}] * 2},
            'spec.devices.requests[1]: Duplicate value: "gpu"',
        ),
        (
            "ResourceClaim",
            {"spec.devices.requests.0.exactly": {}},
            "spec.devices.requests[0].exactly.deviceClassName: Required value",
        ),
        (
            "ResourceClaim",
            {"spec.devices.requests.0.exactly.allocationMode": "Some"},
            "spec.devices.requests[0].exactly.allocationMode: Unsupported value: "
            '"Some": supported values: "All", "ExactCount"',
        ),
        (
            "ResourceClaim",
            {"spec.devices.requests.0.exactly": {**EXACTLY, "allocationMode": "All", "count": 2}},
            "exactly.count: Invalid value: 2: must not be specified when allocationMode is 'All'",
        ),
        (
            "ResourceClaim",
            {"spec.devices.requests.0.exactly.count": -1},
            "spec.devices.requests[0].exactly.count: Invalid value: -1: must be greater than zero",
        ),
        (
            "ResourceClaim",
            {"spec.devices.requests.0.exactly.tolerations": [{"operator": "Exists", "value": "a"}]},
            'exactly.tolerations[0].value: Invalid value: "a": must be empty for operator `Exists`',
        ),
        (
            "ResourceClaim",
            {"spec.devices.constraints": [{"requests": ["cpu"], "matchAttribute": "gpu.example.com/model"}]},
            f'spec.devices.constraints[0].requests[0]: Invalid value: "cpu": {REQUEST_NAME}',
        ),
        (
            "ResourceClaim",
            {"spec.devices.constraints": [{"matchAttribute": "model"}]},
            'constraints[0].matchAttribute: Invalid value: "model": a fully qualified name must be a domain and a name '
            "separated by a slash",
        ),
        (
            "ResourceClaim",
            {"spec.devices.constraints": [{}]},
            'spec.devices.constraints[0]: Required value: exactly one of "matchAttribute" or "distinctAttribute" is '
            "required, but multiple fields are set",
        ),
        (
            "ResourceClaim",
            {"spec.devices.config": [{"requests": ["gpu/a/b"], "opaque": {"driver": "a", "parameters": {}}}]},
            f'spec.devices.config[0].requests[0]: Invalid value: "gpu/a/b": {REQUEST_NAME}',
        ),
        (
            "ResourceClaimTemplate",
            {"spec.spec.devices.requests.0.firstAvailable.0.deviceClassName": "A"},
            f'spec.spec.devices.requests[0].firstAvailable[0].deviceClassName: Invalid value: "A": {SUBDOMAIN}',
        ),
        ("ResourceClaimTemplate", {"spec.metadata.labels": {"a b": "c"}}, "spec.metadata.labels: Invalid value"),
        ("ResourceSlice", {"spec.driver": ""}, "spec.driver: Required value"),
        ("ResourceSlice", {"spec.pool": {}}, "spec.pool.name: Required value"),
        (
            "ResourceSlice",
            {"spec.pool.resourceSliceCount": 0},
            "spec.pool.resourceSliceCount: Invalid value: 0: must be greater than zero",
        ),
        (
            "ResourceSlice",
            {"spec.nodeName": ABSENT},
            "spec: Required value: exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is "
            "required",
        ),
        (
            "ResourceSlice",
            {"spec.allNodes": True},
            'spec: Invalid value: "{`nodeName`, `allNodes`}": exactly one of',
        ),
        ("ResourceSlice", {"spec.devices": [{"name": "a"}] * 2}, 'spec.devices[1]: Duplicate value: "a"'),
        (
            "ResourceSlice",
            {"spec.devices": [{"name": f"d{n}", "taints": [{"key": "a", "effect": "NoSchedule"}]} for n in range(65)]},
            "spec.devices: Too many: 65: must have at most 64 items",
        ),
        (
            "ResourceSlice",
            {"spec.devices.0.attributes": {"model": {}}},
            'spec.devices[0].attributes[model]: Invalid value: "": exactly one value must be specified',
        ),
        (
            "ResourceSlice",
            {"spec.devices.0.attributes": {"model": {"int": 0, "bool": False}}},
            'Invalid value: {"int":0,"bool":false}: exactly one value must be specified',
        ),
        (
            "ResourceSlice",
            {"spec.devices.0.attributes": {"model": {"version": "1.2"}}},
            'attributes[model].version: Invalid value: "1.2": must be a string compatible with semver.org spec 2.0.0',
        ),
        (
            "ResourceSlice",
            {"spec.devices.0.attributes": {"a-b": {"int": 1}}},
            'spec.devices[0].attributes: Invalid value: "a-b": a valid C identifier must start with',
        ),
        (
            "ResourceSlice",
            {"spec.devices.0.attributes": {f"a{n}": {"int": n} for n in range(32)}},
            "spec.devices[0]: Invalid value: 33: the total number of attributes and capacities must not exceed 32",
        ),
        (
            "ResourceSlice",
            {"spec.devices.0.taints": [{"key": "a", "effect": "Never"}]},
            'spec.devices[0].taints[0].effect: Unsupported value: "Never": supported values: "NoExecute", '
            '"NoSchedule", "None"',
        ),
        (
            "ResourceSlice",
            {"spec.devices.0.nodeName": "node-1"},
            "spec.devices[0]: Invalid value: null: `nodeName`, `nodeSelector` and `allNodes` can only be set if",
        ),
        (
            "ResourceSlice",
            {"spec.devices.0.bindingConditions": ["ready"]},
            "bindingFailureConditions are required to use bindingConditions",
        ),
        (
            "ResourceSlice",
            {"spec.devices.0.capacity": {"memory": {"value": "1Gi", "requestPolicy": {}}}},
            f"{POLICY}: Forbidden: allowMultipleAllocations must be true",
        ),
        (
            "ResourceSlice",
            shared({"validValues": ["1Gi"]}),
            f"{POLICY}.default: Required value: required when validValues is defined",
        ),
        (
            "ResourceSlice",
            shared({"default": "1Gi", "validValues": ["2Gi", "1Gi"]}),
            f'{POLICY}.validValues[1]: Invalid value: "1Gi": values must be sorted in ascending order',
        ),
        (
            "ResourceSlice",
            shared({"default": "1Gi", "validValues": ["1Gi", "80Gi"]}),
            f'{POLICY}.validValues[1]: Invalid value: "80Gi": option is larger than capacity value: 40Gi',
        ),
        (
            "ResourceSlice",
            shared({"default": "3Gi", "validRange": {"min": "1Gi", "step": "4Gi"}}),
            f'{POLICY}.validRange.step: Invalid value: "3Gi": value is not a multiple of a given step (4Gi) from (1Gi)',
        ),
        (
            "Pod",
            {"spec.resourceClaims": [{"name": "gpu"}]},
            'spec.resourceClaims[0]: Invalid value: {"Name":"gpu","ResourceClaimName":null,'
            '"ResourceClaimTemplateName":null}: must specify one of: `resourceClaimName`, `resourceClaimTemplateName`',
        ),
        (
            "Pod",
            {"spec.resourceClaims": [{"name": "gpu", "resourceClaimName": "a", "resourceClaimTemplateName": "b"}]},
            "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified",
        ),
        (
            "Pod",
            {"spec.resourceClaims": [{"name": "gpu", "resourceClaimName": "a"}] * 2},
            'spec.resourceClaims[1].name: Duplicate value: "gpu"',
        ),
        (
            "Pod",
            {"metadata.name": "a" * 250, "spec.resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "b"}]},
            "final ResourceClaim name: must be no more than 253 characters",
        ),
        (
            "Pod",
            {"spec.containers.0.resources": {"claims": [{"name": "gpu"}]}},
            'spec.containers[0].resources.claims[0]: Not found: "gpu": must be one of the names in '
            "pod.spec.resourceClaims which is empty",
        ),
        (
            "Deployment",
            {
                "spec.template.spec.resourceClaims": [{"name": "gpu", "resourceClaimName": "a"}],
                "spec.template.spec.containers.0.resources": {"claims": [{"name": "gpu"}, {"name": "net"}]},
            },
            'spec.template.spec.containers[0].resources.claims[1]: Not found: "net": must be one of the names in '
            "pod.spec.resourceClaims: gpu",
        ),
    ],
)
def test_what_is_refused(kind: str, changes: dict[str, Any], message: str) -> None:
    found = problems(kind, changes)

    assert any(message in problem for problem in found), found


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("DeviceClass", {"spec.selectors": selector('device.attributes["a.b"].model == "x"')}),
        ("DeviceClass", {"spec.selectors": selector('device.capacity["a.b"].m.isGreaterThan(quantity("10Gi"))')}),
        ("DeviceClass", {"spec.extendedResourceName": "example.com/gpu"}),
        (
            "ResourceClaim",
            {"spec.devices.config": [{"requests": ["gpu"], "opaque": {"driver": "a", "parameters": {}}}]},
        ),
        ("ResourceSlice", {"spec.nodeName": ABSENT, "spec.allNodes": True}),
        ("ResourceSlice", {"spec.devices.0.attributes": {"gpu.example.com/v": {"version": "1.2.3-rc.1+b"}}}),
        ("ResourceSlice", shared({"default": "5Gi", "validRange": {"min": "1Gi", "max": "9Gi", "step": "4Gi"}})),
        (
            "Pod",
            {
                "spec.resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "a"}],
                "spec.containers.0.resources": {"claims": [{"name": "gpu", "request": "large"}]},
            },
        ),
    ],
)
def test_what_is_accepted(kind: str, changes: dict[str, Any]) -> None:
    assert problems(kind, changes) == []


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("ResourceClaim", {"spec.devices.requests.0.name": "other"}, "spec: Invalid value: {"),
        ("ResourceClaimTemplate", {"spec.spec.devices.requests.0.name": "other"}, "spec: Invalid value: {"),
        ("ResourceSlice", {"spec.driver": "other"}, 'spec.driver: Invalid value: "other": field is immutable'),
        ("ResourceSlice", {"spec.pool.name": "other"}, 'spec.pool.name: Invalid value: "other": field is immutable'),
        ("ResourceSlice", {"spec.nodeName": "other"}, 'spec.nodeName: Invalid value: "other": field is immutable'),
    ],
)
def test_what_never_changes(kind: str, changes: dict[str, Any], message: str) -> None:
    found = update_problems(kind, changes)

    assert len(found) == 1 and message in found[0] and found[0].endswith("field is immutable")


def test_a_claim_is_for_one_device_unless_it_says_more() -> None:
    exactly = created("ResourceClaim")["spec"]["devices"]["requests"][0]["exactly"]
    all_of_them = created("ResourceClaim", {"spec.devices.requests.0.exactly.allocationMode": "All"})
    tolerant = created("ResourceClaim", {"spec.devices.requests.0.exactly.tolerations": [{"key": "a"}]})
    template = created("ResourceClaimTemplate")["spec"]["spec"]["devices"]["requests"][0]["firstAvailable"][0]

    assert exactly == {"deviceClassName": "a", "allocationMode": "ExactCount", "count": 1}
    assert "count" not in all_of_them["spec"]["devices"]["requests"][0]["exactly"]
    assert tolerant["spec"]["devices"]["requests"][0]["exactly"]["tolerations"] == [{"key": "a", "operator": "Equal"}]
    assert (template["allocationMode"], template["count"]) == ("ExactCount", 1)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (
            {"reservedFor": [{"resource": "pods", "name": "web", "uid": "u"}]},
            "status.reservedFor: Forbidden: may not be specified when `allocated` is not set",
        ),
        ({"allocation": ALLOCATED, "reservedFor": [{}]}, "status.reservedFor[0].uid: Required value"),
        (
            {"allocation": {"devices": {"results": [{**RESULT, "request": "cpu"}]}}},
            f'status.allocation.devices.results[0].request: Invalid value: "cpu": {REQUEST_NAME}',
        ),
        (
            {"allocation": {"devices": {"results": [{**RESULT, "shareID": "A"}]}}},
            'results[0].shareID: Invalid value: "A": uid must be in RFC 4122 normalized form',
        ),
        (
            {"allocation": {"devices": {"config": [{"source": "Elsewhere"}]}}},
            'config[0].source: Unsupported value: "Elsewhere": supported values: "FromClaim", "FromClass"',
        ),
        (
            {"allocation": {**ALLOCATED, "nodeSelector": {"nodeSelectorTerms": []}}},
            "status.allocation.nodeSelector.nodeSelectorTerms: Required value",
        ),
        (
            {"devices": [DEVICE]},
            'status.devices[0]: Invalid value: "gpu.example.com/node-1/gpu-0": must be an allocated device in '
            "the claim",
        ),
        (
            {"allocation": ALLOCATED, "devices": [{**DEVICE, "networkData": {"ips": ["10.0.0.1"]}}]},
            'networkData.ips[0]: Invalid value: "10.0.0.1": must be a valid address in CIDR form',
        ),
    ],
)
def test_a_status_that_is_refused(status: dict[str, Any], message: str) -> None:
    found = update_problems("ResourceClaim", {"status": status}, subresource="status")

    assert any(message in problem for problem in found), found


def test_what_is_allocated_stays_until_it_is_taken_back() -> None:
    status = {"allocation": {"devices": {"results": [{**RESULT, "shareID": UID}]}}, "devices": []}

    assert update_problems("ResourceClaim", {"status": status}, subresource="status") == []
    assert update_problems("ResourceClaim", {"status": {}}, {"status": status}, subresource="status") == []


def test_a_spec_that_changes_with_the_status_does_not() -> None:
    changes = {"status": {"allocation": ALLOCATED}, "spec.devices.requests.0.name": "other"}

    assert update_problems("ResourceClaim", changes, subresource="status") == []
