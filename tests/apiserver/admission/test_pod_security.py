"""The Pod Security Standards: the texts, and which pods pass, against the standards' own table read literally."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.apiserver.admission.pod_security.policy import LATEST, Policy, Standard, policy_of
from actors.apiserver.admission.pod_security.standards import violations
from protocols.errors import Forbidden, Invalid
from protocols.objects import Object
from tests.apiserver.world import World, namespace, pod

HARDENED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def found(level: str, spec: Object, version: int = LATEST, **annotations: str) -> list[str]:
    return [
        str(each)
        for each in violations(Standard(level, version), {"metadata": {"annotations": annotations}, "spec": spec})
    ]


def one(**container: Any) -> Object:
    return {"containers": [{"name": "a", **container}]}


def secured(**context: Any) -> Object:
    return one(securityContext=context)


# -- what is said -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "texts"),
    [
        ({"hostNetwork": True, "hostIPC": True, **one()}, ["host namespaces (hostNetwork=true, hostIPC=true)"]),
        (secured(privileged=True), ['privileged (container "a" must not set securityContext.privileged=true)']),
        (
            secured(capabilities={"add": ["SYS_ADMIN", "CHOWN", "BPF"]}),
            [
                'non-default capabilities (container "a" must not include "BPF", "SYS_ADMIN" in '
                "securityContext.capabilities.add)"
            ],
        ),
        (
            {"volumes": [{"name": "v", "hostPath": {"path": "/"}}, {"name": "w", "hostPath": {}}], **one()},
            ['hostPath volumes (volumes "v", "w")'],
        ),
        (
            one(ports=[{"hostPort": 80}, {"hostPort": 443}, {"containerPort": 1}]),
            ['hostPort (container "a" uses hostPorts 443, 80)'],
        ),
        (
            one(livenessProbe={"httpGet": {"host": "example.com"}}),
            ['probe or lifecycle host (container "a" uses probe or lifecycle host "example.com")'],
        ),
        (
            secured(procMount="Unmasked"),
            ['procMount (container "a" must not set securityContext.procMount to "Unmasked")'],
        ),
        (
            {"securityContext": {"seLinuxOptions": {"type": "x", "role": "r"}}, **one()},
            ['seLinuxOptions (pod set forbidden securityContext.seLinuxOptions: type "x"; role may not be set)'],
        ),
        (
            secured(seccompProfile={"type": "Unconfined"}),
            ['seccompProfile (container "a" must not set securityContext.seccompProfile.type to "Unconfined")'],
        ),
        (
            {"securityContext": {"sysctls": [{"name": "kernel.msgmax"}, {"name": "net.ipv4.tcp_rmem"}]}, **one()},
            ["forbidden sysctls (kernel.msgmax)"],
        ),
        (
            {"securityContext": {"windowsOptions": {"hostProcess": True}}, **one()},
            ["hostProcess (pod must not set securityContext.windowsOptions.hostProcess=true)"],
        ),
        (
            secured(appArmorProfile={"type": "Unconfined"}),
            ['forbidden AppArmor profile (container "a" must not set AppArmor profile type to "Unconfined")'],
        ),
    ],
)
def test_what_baseline_says(spec: Object, texts: list[str]) -> None:
    assert found("baseline", spec) == texts
    assert found("privileged", spec) == []


def test_what_restricted_says_of_a_pod_that_asks_for_nothing() -> None:
    assert found("restricted", {"containers": [{"name": "a"}, {"name": "b"}]}) == [
        'allowPrivilegeEscalation != false (containers "a", "b" must set '
        "securityContext.allowPrivilegeEscalation=false)",
        'unrestricted capabilities (containers "a", "b" must set securityContext.capabilities.drop=["ALL"])',
        'runAsNonRoot != true (pod or containers "a", "b" must set securityContext.runAsNonRoot=true)',
        'seccompProfile (pod or containers "a", "b" must set securityContext.seccompProfile.type to "RuntimeDefault" '
        'or "Localhost")',
    ]


@pytest.mark.parametrize(
    ("spec", "texts"),
    [
        (secured(**HARDENED), []),
        (
            {"volumes": [{"name": "v", "nfs": {}}], **secured(**HARDENED)},
            ['restricted volume types (volume "v" uses restricted volume type "nfs")'],
        ),
        (secured(**HARDENED, runAsUser=0), ['runAsUser=0 (container "a" must not set runAsUser=0)']),
        (
            secured(**{**HARDENED, "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE", "KILL"]}}),
            ['unrestricted capabilities (container "a" must not include "KILL" in securityContext.capabilities.add)'],
        ),
        (
            secured(**{**HARDENED, "runAsNonRoot": False}),
            ['runAsNonRoot != true (container "a" must not set securityContext.runAsNonRoot=false)'],
        ),
        ({"hostUsers": False, **secured(**{**HARDENED, "runAsNonRoot": False}, runAsUser=0)}, []),
        ({"os": {"name": "windows"}, "securityContext": {"runAsNonRoot": True}, **one()}, []),
    ],
)
def test_what_restricted_says(spec: Object, texts: list[str]) -> None:
    assert found("restricted", spec) == texts


def test_a_version_means_the_rules_of_its_time() -> None:
    tuned = {"securityContext": {"sysctls": [{"name": "net.ipv4.tcp_rmem"}]}, **one()}
    windows = {"os": {"name": "windows"}, "securityContext": {"runAsNonRoot": True}, **one()}
    old = {"seccomp.security.alpha.kubernetes.io/pod": "unconfined"}

    assert [found("baseline", tuned, version) == [] for version in (31, 32)] == [False, True]
    assert [found("restricted", windows, version) == [] for version in (24, 25)] == [False, True]
    assert [found("restricted", secured(**HARDENED, runAsUser=0), version) == [] for version in (22, 23)] == [
        True,
        False,
    ]
    assert [found("baseline", one(), version, **old) == [] for version in (18, 19)] == [False, True]


# -- which pods pass --------------------------------------------------------------------------------------------------

CONTEXTS = st.fixed_dictionaries(
    {},
    optional={
        "allowPrivilegeEscalation": st.booleans(),
        "privileged": st.booleans(),
        "runAsNonRoot": st.booleans(),
        "runAsUser": st.sampled_from([0, 1000]),
        "procMount": st.sampled_from(["Default", "Unmasked"]),
        "seccompProfile": st.fixed_dictionaries(
            {"type": st.sampled_from(["RuntimeDefault", "Localhost", "Unconfined"])}
        ),
        "appArmorProfile": st.fixed_dictionaries({"type": st.sampled_from(["RuntimeDefault", "Unconfined"])}),
        "capabilities": st.fixed_dictionaries(
            {},
            optional={
                "add": st.lists(st.sampled_from(["CHOWN", "NET_BIND_SERVICE", "SYS_ADMIN"]), unique=True),
                "drop": st.sampled_from([["ALL"], ["CHOWN"], []]),
            },
        ),
    },
)
# Most of what is drawn must break few rules, or the others are never the reason.
NEARLY_HARDENED = st.builds(
    lambda context, kept: {**HARDENED, **dict(list(context.items())[:kept])}, CONTEXTS, st.integers(0, 1)
)
CONTAINERS = st.builds(
    lambda context, ports: {"name": "c", "securityContext": context, "ports": ports},
    st.one_of(NEARLY_HARDENED, CONTEXTS),
    st.sampled_from([[], [], [{"containerPort": 1}], [{"hostPort": 1}], [{"hostPort": 0}]]),
)
VOLUMES = st.sampled_from(["emptyDir", "hostPath", "nfs", "secret", "image"])
SPECS = st.fixed_dictionaries(
    {"containers": st.lists(CONTAINERS, min_size=1, max_size=2)},
    optional={
        "initContainers": st.lists(CONTAINERS, max_size=1),
        "ephemeralContainers": st.lists(CONTAINERS, max_size=1),
        "securityContext": CONTEXTS.map(
            lambda context: {
                key: value
                for key, value in context.items()
                if key not in ("capabilities", "privileged", "allowPrivilegeEscalation", "procMount")
            }
        ),
        "hostPID": st.booleans(),
        "volumes": st.lists(VOLUMES.map(lambda kind: {"name": "v", kind: {}}), max_size=2),
    },
)


def literally(level: str, spec: Object) -> bool:
    """The table of the Pod Security Standards, one `if` a row: whether the pod is allowed."""
    everybody = [
        each for field in ("initContainers", "containers", "ephemeralContainers") for each in spec.get(field, [])
    ]
    inside = [each["securityContext"] for each in everybody]
    own = spec.get("securityContext", {})
    every = [own, *inside]
    baseline = [
        spec.get("hostPID", False) is False,
        all(context.get("privileged") in (None, False) for context in inside),
        all({*context.get("capabilities", {}).get("add", [])} <= {"CHOWN", "NET_BIND_SERVICE"} for context in inside),
        all("hostPath" not in volume for volume in spec.get("volumes", [])),
        all(port.get("hostPort") in (None, 0) for each in everybody for port in each["ports"]),
        all(
            context.get("appArmorProfile", {"type": "RuntimeDefault"})["type"] == "RuntimeDefault" for context in every
        ),
        all(context.get("procMount") in (None, "Default") for context in inside),
        all(context.get("seccompProfile", {"type": None})["type"] != "Unconfined" for context in every),
    ]
    restricted = [
        all({*volume} & {"emptyDir", "secret", "image"} for volume in spec.get("volumes", [])),
        all(context.get("allowPrivilegeEscalation") is False for context in inside),
        own.get("runAsNonRoot") in (None, True),
        all(context.get("runAsNonRoot", own.get("runAsNonRoot")) is True for context in inside),
        all(context.get("runAsUser") in (None, 1000) for context in every),
        all((context.get("seccompProfile") or own.get("seccompProfile")) is not None for context in inside),
        all("ALL" in context.get("capabilities", {}).get("drop", []) for context in inside),
        all({*context.get("capabilities", {}).get("add", [])} <= {"NET_BIND_SERVICE"} for context in inside),
    ]
    return all(baseline) and (level == "baseline" or all(restricted))


@pytest.mark.parametrize("kind", ["initContainers", "containers", "ephemeralContainers"])
def test_containers_of_every_kind_are_looked_at(kind: str) -> None:
    spec: Any = secured(**HARDENED)
    spec[kind] = [*spec.get(kind, ()), {"name": "b", "securityContext": {"privileged": True}}]

    assert found("baseline", spec) == ['privileged (container "b" must not set securityContext.privileged=true)']


def test_what_a_pod_says_does_not_hold_for_a_container_that_says_otherwise() -> None:
    root = {**HARDENED, "runAsNonRoot": False}

    assert found("restricted", {"securityContext": {"runAsNonRoot": True}, **secured(**HARDENED)}) == []
    assert len(found("restricted", {"securityContext": {"runAsNonRoot": True}, **secured(**root)})) == 1


@settings(deadline=None)
@given(SPECS, st.sampled_from(["baseline", "restricted"]))
def test_a_pod_passes_exactly_when_the_standards_table_allows_it(spec: Object, level: str) -> None:
    assert (not found(level, spec)) == literally(level, spec)


# -- labels -----------------------------------------------------------------------------------------------------------

LABEL = "pod-security.kubernetes.io/"


def labelled(**labels: str) -> Object:
    made = namespace("team")
    made["metadata"]["labels"] = {LABEL + name.replace("_", "-"): value for name, value in labels.items()}
    return made


def test_what_is_enforced_is_warned_about_too_unless_a_label_says_otherwise() -> None:
    restricted, nothing = Standard("restricted", LATEST), Standard("privileged", LATEST)

    assert policy_of({f"{LABEL}enforce": "restricted"}) == Policy(restricted, nothing, restricted)
    assert policy_of({f"{LABEL}enforce": "restricted", f"{LABEL}warn": "privileged"}).warn == nothing
    assert policy_of({f"{LABEL}enforce": "baseline", f"{LABEL}enforce-version": "v1.25"}).warn == Standard(
        "baseline", 25
    )
    assert policy_of({f"{LABEL}enforce": "Baseline"}) == Policy(restricted, nothing, nothing)


async def test_a_namespace_keeps_out_what_it_does_not_allow(api: World) -> None:
    await api.create("namespaces", labelled(enforce="baseline", enforce_version="v1.30"))
    bad = pod("bad", "team")
    bad["spec"]["hostNetwork"] = True

    await api.create("pods", pod("good", "team"))
    with pytest.raises(Forbidden) as refused:
        await api.create("pods", bad)

    assert str(refused.value) == (
        'pods "bad" is forbidden: violates PodSecurity "baseline:v1.30": host namespaces (hostNetwork=true)'
    )


async def test_labels_that_mean_nothing_are_refused(api: World) -> None:
    with pytest.raises(Invalid, match='Invalid value: "strict": must be one of privileged, baseline, restricted'):
        await api.create("namespaces", labelled(enforce="strict"))
    with pytest.raises(Invalid, match=r'must be "latest" or "v1\.x"'):
        await api.create("namespaces", labelled(warn_version="1.30"))
