"""The default profile: kube-scheduler's plugins in its order, with its weights."""

from __future__ import annotations

from actors.scheduler.framework import Profile
from actors.scheduler.plugins.image_locality import ImageLocality
from actors.scheduler.plugins.inter_pod_affinity import InterPodAffinity
from actors.scheduler.plugins.node_affinity import NodeAffinity
from actors.scheduler.plugins.node_name import NodeName
from actors.scheduler.plugins.node_ports import NodePorts
from actors.scheduler.plugins.node_resources_balanced import NodeResourcesBalancedAllocation
from actors.scheduler.plugins.node_resources_fit import NodeResourcesFit
from actors.scheduler.plugins.node_unschedulable import NodeUnschedulable
from actors.scheduler.plugins.pod_topology_spread import PodTopologySpread
from actors.scheduler.plugins.scheduling_gates import SchedulingGates
from actors.scheduler.plugins.taint_toleration import TaintToleration

DEFAULT_PROFILE = Profile(
    (SchedulingGates(), 0),
    (NodeUnschedulable(), 0),
    (NodeName(), 0),
    (TaintToleration(), 3),
    (NodeAffinity(), 2),
    (NodePorts(), 0),
    (NodeResourcesFit(), 1),
    (PodTopologySpread(), 2),
    (InterPodAffinity(), 2),
    (NodeResourcesBalancedAllocation(), 1),
    (ImageLocality(), 1),
)
