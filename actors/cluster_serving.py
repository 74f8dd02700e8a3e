"""What the components beside the API server serve over HTTPS, where the cluster has certificates: on the loopback
address, on a port that is free. `DIR/serving/NAME.json` says where, as Prometheus reads it (`file_sd_configs`).
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from actorkube.runtime import Actor, System
from actorkube.runtime.certificates import Issued

if TYPE_CHECKING:
    from actors.cluster import ClusterSpec

CERTIFICATE = "component"


def serve(
    system: System,
    spec: ClusterSpec,
    component: str,
    actor: str,
    configz: Callable[[], Mapping[str, Any]],
    pages: tuple[str, ...] = (),
    flags: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Beside that actor. Nothing where there is no REST side, or its certificates are elsewhere."""
    if spec.api_address is None or spec.data is None:
        return
    pki, record = spec.data / "pki", spec.data / "serving" / f"{system.name}.json"
    issued, ca = Issued.at(pki, CERTIFICATE), Issued.at(pki, "ca")
    if not issued.exists:
        return

    def context() -> ssl.SSLContext:
        from actors.apiserver.tls import server_context

        return server_context(ca.cert_file, issued.cert_file, issued.key_file)

    def page() -> Actor:
        from actorkube.kube.serving import Serving, ServingPage

        own = {"tls-cert-file": str(issued.cert_file), "tls-private-key-file": str(issued.key_file)}
        told = {"client-ca-file": str(ca.cert_file), **own, **flags}
        serving = Serving(component, actor, context, configz, lambda: version_of(spec), pages, record, lambda: told)
        return ServingPage(system, serving, spec.apis)

    system.spawn(page, "serving")


def version_of(spec: ClusterSpec) -> str:
    from actors.apiserver.schema.types import DEFAULT_VERSION

    return spec.kubernetes_version or DEFAULT_VERSION


def controller_flags(spec: ClusterSpec) -> dict[str, str]:
    return {"leader-elect": "false", "node-monitor-grace-period": f"{spec.node_monitor_grace_s:g}s"}


def controllers_told(spec: ClusterSpec) -> Mapping[str, Any]:
    """What of kube-controller-manager's configuration means something here."""
    group = "kubecontrollermanager.config.k8s.io"
    return {
        group: {
            "apiVersion": f"{group}/v1alpha1",
            "kind": "KubeControllerManagerConfiguration",
            "Generic": {"Controllers": ["*"], "LeaderElection": {"LeaderElect": False}},
            "NodeLifecycleController": {"NodeMonitorGracePeriod": f"{spec.node_monitor_grace_s:g}s"},
        }
    }
