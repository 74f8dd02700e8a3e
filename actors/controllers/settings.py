"""What can be set about controllers; the defaults are Kubernetes'."""

from __future__ import annotations

from dataclasses import dataclass

from actors.controllers.certificate_signing import Sign


@dataclass(frozen=True, slots=True)
class Settings:
    """Times are in seconds. `root_ca` is the PEM that pods find in the config map kube-root-ca.crt."""

    node_monitor_grace_s: float = 50.0  # without a sign of life a node's state is unknown
    node_startup_grace_s: float = 60.0  # the same for a node that never said that it is ready
    node_eviction_rate: float = 0.1  # nodes a second, per zone
    secondary_node_eviction_rate: float = 0.01  # in a large zone that is largely unhealthy
    large_zone_size: int = 50  # in a smaller one, nothing is evicted then
    unhealthy_zone_share: float = 0.55
    terminated_pods_max: int = 12500
    node_gone_quarantine_s: float = 40.0
    hpa_sync_period_s: float = 15.0
    hpa_tolerance: float = 0.1  # so far from its target a metric may be
    hpa_cpu_initialization_s: float = 300.0  # so long a new pod's CPU counts only when it has been ready for a while
    hpa_initial_readiness_s: float = 30.0  # a pod that became unready so early was never ready
    hpa_downscale_stabilization_s: float = 300.0
    root_ca: str = ""
    sign: Sign | None = None  # certificates that were asked for and approved

    def signer(self) -> Sign:
        assert self.sign is not None, "there is nobody to sign"
        return self.sign
