"""The default profile: kube-scheduler's plugins in its order, with its weights."""

from __future__ import annotations

from actors.scheduler.framework import Profile
from actors.scheduler.plugins.default_binder import DefaultBinder
from actors.scheduler.plugins.default_preemption import DefaultPreemption
from actors.scheduler.plugins.dynamic_resources import DynamicResources
from actors.scheduler.plugins.gang_scheduling import GangScheduling
from actors.scheduler.plugins.image_locality import ImageLocality
from actors.scheduler.plugins.inter_pod_affinity import InterPodAffinity
from actors.scheduler.plugins.node_affinity import NodeAffinity
from actors.scheduler.plugins.node_declared_features import NodeDeclaredFeatures
from actors.scheduler.plugins.node_name import NodeName
from actors.scheduler.plugins.node_ports import NodePorts
from actors.scheduler.plugins.node_resources_balanced import NodeResourcesBalancedAllocation
from actors.scheduler.plugins.node_resources_fit import NodeResourcesFit
from actors.scheduler.plugins.node_unschedulable import NodeUnschedulable
from actors.scheduler.plugins.node_volume_limits import NodeVolumeLimits
from actors.scheduler.plugins.pod_topology_spread import PodTopologySpread
from actors.scheduler.plugins.priority_sort import PrioritySort
from actors.scheduler.plugins.scheduling_gates import SchedulingGates
from actors.scheduler.plugins.taint_toleration import TaintToleration
from actors.scheduler.plugins.volume_binding import VolumeBinding
from actors.scheduler.plugins.volume_restrictions import VolumeRestrictions
from actors.scheduler.plugins.volume_zone import VolumeZone

DEFAULT_PROFILE = Profile(
    (SchedulingGates(), 0),
    (PrioritySort(), 0),
    (NodeUnschedulable(), 0),
    (NodeName(), 0),
    (TaintToleration(), 3),
    (NodeAffinity(), 2),
    (NodePorts(), 0),
    (NodeResourcesFit(), 1),
    (VolumeRestrictions(), 0),
    (NodeVolumeLimits(), 0),
    (VolumeBinding(), 0),
    (VolumeZone(), 0),
    (PodTopologySpread(), 2),
    (InterPodAffinity(), 2),
    (DynamicResources(), 0),
    (DefaultPreemption(), 0),
    (NodeResourcesBalancedAllocation(), 1),
    (ImageLocality(), 1),
    (NodeDeclaredFeatures(), 0),
    (GangScheduling(), 0),
    (DefaultBinder(), 0),
)
