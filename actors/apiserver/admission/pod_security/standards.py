"""Which checks a level consists of, in which version: everything that a pod violates of one standard."""

from __future__ import annotations

from collections.abc import Callable

from actors.apiserver.admission.pod_security import baseline, restricted
from actors.apiserver.admission.pod_security.baseline import Annotations
from actors.apiserver.admission.pod_security.policy import Standard
from actors.apiserver.admission.pod_security.violation import Spec, Violation
from protocols.objects import Object, meta

Check = Callable[[Annotations, Spec, int], Violation | None]

# In the order in which Kubernetes reports them.
_BASELINE: tuple[Check, ...] = (
    baseline.app_armor,
    baseline.capabilities,
    baseline.host_namespaces,
    baseline.host_path_volumes,
    baseline.host_ports,
    baseline.host_probes,
    baseline.privileged,
    baseline.proc_mount,
    baseline.selinux,
    baseline.seccomp,
    baseline.sysctls,
    baseline.windows_host_process,
)
_RESTRICTED: tuple[Check, ...] = (
    restricted.allow_privilege_escalation,
    restricted.capabilities,
    baseline.any_proc_mount,
    restricted.restricted_volumes,
    restricted.run_as_non_root,
    restricted.run_as_user,
    restricted.seccomp,
)
# A stricter check of the same thing takes the place of the baseline's, from some version on.
_REPLACED: dict[Check, int] = {
    baseline.capabilities: 22,
    baseline.host_path_volumes: 0,
    baseline.proc_mount: 35,
    baseline.seccomp: 19,
}
_SINCE: dict[Check, int] = {restricted.capabilities: 22, baseline.any_proc_mount: 35, restricted.seccomp: 19}


def violations(standard: Standard, pod: Object) -> list[Violation]:
    """`pod`: a Pod, or the template of one."""
    annotations, spec = meta(pod).get("annotations") or {}, pod.get("spec") or {}
    found = (check(annotations, spec, standard.version) for check in _checks(standard))
    return [violation for violation in found if violation is not None]


def _checks(standard: Standard) -> list[Check]:
    version = standard.version
    if standard.level == "privileged":
        return []
    if standard.level == "baseline":
        return [*_BASELINE]
    kept = [check for check in _BASELINE if check not in _REPLACED or version < _REPLACED[check]]
    return kept + [check for check in _RESTRICTED if version >= _SINCE.get(check, 0)]
