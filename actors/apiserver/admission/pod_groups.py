"""PodGroupWorkloadExists: the template that a PodGroup says it is made of is there (KEP-4671)."""

from __future__ import annotations

from actors.apiserver.admission.attributes import Attributes
from actors.apiserver.admission.stored import Stored
from actors.apiserver.keys import object_key

WORKLOADS, POD_GROUPS = "workloads.scheduling.k8s.io", "podgroups.scheduling.k8s.io"


def validate(attributes: Attributes, stored: Stored) -> None:
    reference = ((attributes.obj.get("spec") or {}).get("podGroupTemplateRef") or {}).get("workload")
    if reference is None:
        return
    name, template = reference["workloadName"], reference["podGroupTemplateName"]
    workload = stored.get(WORKLOADS, object_key(attributes.namespace, name))
    if workload is None:
        raise attributes.refusal(f'PodGroup rejected: Workload "{name}" not found')
    if not any(each.get("name") == template for each in workload["spec"].get("podGroupTemplates") or ()):
        raise attributes.refusal(f'PodGroup rejected: PodGroupTemplate "{template}" not found in Workload "{name}"')
