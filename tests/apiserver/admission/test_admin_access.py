"""Access to devices that others have is for namespaces that allow it."""

from __future__ import annotations

import pytest

from actors.apiserver.admission.admin_access import LABEL
from protocols.errors import Invalid
from protocols.objects import Object
from protocols.rules.device_claims import CLAIMS, TEMPLATES
from tests.apiserver.world import World


def asking(kind: str, name: str, admin: bool = True) -> Object:
    exactly = {"deviceClassName": "gpu", **({"adminAccess": True} if admin else {})}
    requests = [{"name": "own", "exactly": {"deviceClassName": "gpu"}}, {"name": "others", "exactly": exactly}]
    spec: Object = {"devices": {"requests": requests}}
    head = {"apiVersion": "resource.k8s.io/v1", "kind": kind, "metadata": {"name": name, "namespace": "default"}}
    return {**head, "spec": spec if kind == "ResourceClaim" else {"spec": spec}}


@pytest.mark.parametrize(("resource", "kind"), [(CLAIMS, "ResourceClaim"), (TEMPLATES, "ResourceClaimTemplate")])
async def test_a_namespace_must_allow_access_to_others_devices(api: World, resource: str, kind: str) -> None:
    await api.create(resource, asking(kind, "plain", admin=False))
    with pytest.raises(Invalid) as refused:
        await api.create(resource, asking(kind, "all"))
    assert str(refused.value) == (
        f'{kind}.resource.k8s.io "all" is invalid: spec.devices.requests[1].adminAccess: Forbidden: admin access to '
        "devices requires the `resource.kubernetes.io/admin-access: true` label on the containing namespace"
    )

    await api.patch("namespaces", "default", {"metadata": {"labels": {LABEL: "true"}}}, namespace="")
    await api.create(resource, asking(kind, "all"))
