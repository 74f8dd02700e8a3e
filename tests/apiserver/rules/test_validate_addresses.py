"""ServiceCIDRs, IPAddresses, and classes of volume attributes: what is refused, in which words."""

from typing import Any

import pytest

from actors.apiserver.rules import addresses
from actors.apiserver.rules.validate import validate
from tests.apiserver.rules.judged import ABSENT, changed, created, problems, resource_of, update_problems

CSI = {"driver": "disk.example.com", "volumeHandle": "a"}
CIDR = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
IP = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("10.0.0.0/8", None),
        ("2001:db8::/64", None),
        ("10.0.0.0", CIDR),
        ("10.0.0.0/33", CIDR),
        ("10.0.0.0/a", CIDR),
        ("fe80::1%eth0/64", CIDR),
        ("10.0.0.1/8", "must not have bits set beyond the prefix length"),
        ("010.0.0.0/8", "must not have leading 0s in IP or prefix length"),
        ("10.0.0.0/08", "must not have leading 0s in IP or prefix length"),
        ("::ffff:10.0.0.0/104", "must not have an IPv4-mapped IPv6 address"),
        ("2001:DB8::/64", 'must be in canonical form ("2001:db8::/64")'),
    ],
)
def test_networks_have_one_form(text: str, problem: str | None) -> None:
    assert list(addresses.cidr(text)) == ([] if problem is None else [problem])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("10.0.0.1", None),
        ("2001:db8::1", None),
        ("a", IP),
        ("10.0.0", IP),
        ("010.0.0.1", "must not have leading 0s"),
        ("::ffff:10.0.0.1", "must not be an IPv4-mapped IPv6 address"),
        ("2001:db8:0::1", 'must be in canonical form ("2001:db8::1")'),
    ],
)
def test_the_name_of_an_address_is_the_address_in_its_one_form(text: str, problem: str | None) -> None:
    expected = [] if problem is None else [f'metadata.name: Invalid value: "{text}": {problem}']

    assert problems("IPAddress", {"metadata.name": text}) == expected


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("ServiceCIDR", {"spec": {}}, "spec.cidrs: Required value: at least one CIDR required"),
        (
            "ServiceCIDR",
            {"spec.cidrs": ["10.0.0.0/8", "fd00::/64", "10.0.0.0/8"]},
            'spec.cidrs: Invalid value: {"cidrs":["10.0.0.0/8","fd00::/64","10.0.0.0/8"]}: may only hold up to '
            "2 values",
        ),
        (
            "ServiceCIDR",
            {"spec.cidrs": ["10.0.0.0/8", "11.0.0.0/8"]},
            'spec.cidrs: Invalid value: {"cidrs":["10.0.0.0/8","11.0.0.0/8"]}: may specify no more than one IP for '
            "each IP family, i.e 192.168.0.0/24 and 2001:db8::/64",
        ),
        ("ServiceCIDR", {"spec.cidrs": ["a"]}, f'spec.cidrs[0]: Invalid value: "a": {CIDR}'),
        ("IPAddress", {"spec": {}}, "spec.parentRef: Required value"),
        ("IPAddress", {"spec.parentRef.resource": ABSENT}, "spec.parentRef.resource: Required value"),
        ("IPAddress", {"spec.parentRef.name": ""}, "spec.parentRef.name: Required value"),
        (
            "IPAddress",
            {"spec.parentRef.namespace": "a/b"},
            "spec.parentRef.namespace: Invalid value: \"a/b\": may not contain '/'",
        ),
        ("VolumeAttributesClass", {"driverName": ABSENT}, "driverName: Required value"),
        (
            "VolumeAttributesClass",
            {"parameters": ABSENT},
            "parameters: Required value: must contain at least one key/value pair",
        ),
        (
            "VolumeAttributesClass",
            {"parameters": {f"k{n}": "" for n in range(513)}},
            "parameters: Too long: may not be more than 512 bytes",
        ),
        (
            "VolumeAttributesClass",
            {"parameters": {"a": "b" * 256 * 1024}},
            "parameters: Too long: may not be more than 262144 bytes",
        ),
        (
            "PersistentVolume",
            {"spec.volumeAttributesClassName": ""},
            "spec.volumeAttributesClassName: Required value: an empty string is disallowed",
        ),
    ],
)
def test_what_is_refused(kind: str, changes: dict[str, Any], message: str) -> None:
    assert message in problems(kind, changes)


def test_only_volumes_of_drivers_have_attributes() -> None:
    named = {"spec.volumeAttributesClassName": "a"}

    assert problems("PersistentVolume", named) == [
        "spec.csi: Required value: has to be specified when using volumeAttributesClassName"
    ]
    assert problems("PersistentVolume", {**named, "spec.hostPath": ABSENT, "spec.csi": CSI}) == []


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        (
            "ServiceCIDR",
            {"spec.cidrs": ["10.9.0.0/16"]},
            'spec.cidrs[0]: Invalid value: "10.9.0.0/16": field is immutable',
        ),
        (
            "IPAddress",
            {"spec.parentRef.name": "b"},
            'spec.parentRef: Invalid value: {"Group":"","Resource":"services","Namespace":"default","Name":"b"}: '
            "field is immutable",
        ),
        ("VolumeAttributesClass", {"driverName": "b"}, "driverName: Forbidden: updates to driverName are forbidden."),
        (
            "VolumeAttributesClass",
            {"parameters": {"iops": "2"}},
            "parameters: Forbidden: updates to parameters are forbidden.",
        ),
    ],
)
def test_what_never_changes(kind: str, changes: dict[str, Any], message: str) -> None:
    assert update_problems(kind, changes) == [message]


ATTRIBUTES = "spec.volumeAttributesClassName"
BOUND = {"status": {"phase": "Bound", "capacity": {"storage": "1Gi"}}}
APPLIED = {"status": {**BOUND["status"], "currentVolumeAttributesClassName": "slow"}}


def claim_update(new: Any, old: Any, before: dict[str, Any]) -> list[str]:
    """What is said when a claim's class of attributes changes; the status is the one that is stored."""
    stored = {**created("PersistentVolumeClaim", {} if old is None else {ATTRIBUTES: old}), **before}
    wanted = changed(stored, {ATTRIBUTES: new} if new is not None else {ATTRIBUTES: ABSENT})
    return [str(error) for error in validate(resource_of(stored), wanted, stored)]


def test_a_bound_claim_may_get_other_attributes() -> None:
    assert claim_update("fast", "slow", APPLIED) == []
    assert claim_update("fast", None, BOUND) == []
    assert claim_update(None, "slow", BOUND) == []  # nothing has been applied yet


def test_a_claim_that_is_not_bound_keeps_its_attributes() -> None:
    said = claim_update("fast", "slow", {"status": {"phase": "Pending"}})

    assert len(said) == 1 and said[0].startswith("spec: Forbidden: spec is immutable after creation except")


@pytest.mark.parametrize(("new", "what"), [(None, "nil"), ("", "empty string")])
def test_attributes_that_were_applied_are_not_taken_away(new: str | None, what: str) -> None:
    detail = f"update to {what} is forbidden when status.currentVolumeAttributesClassName is not nil"

    assert claim_update(new, "slow", APPLIED) == [f"{ATTRIBUTES}: Forbidden: {detail}"]
