"""Which resources the API serves: one table, and look-ups in it.

A row is what `kubectl api-resources -o wide` shows. Nothing else in the API server names a kind in order to serve it:
paths, discovery, OpenAPI and storage keys all follow from this table.

Custom resources are not in the table: custom/served.py adds them to what one server serves.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from actors.apiserver.custom.version import CustomVersion

_VERBS = {
    "all": ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"),
    "single": ("create", "delete", "get", "list", "patch", "update", "watch"),  # no deletecollection
    "read": ("get", "list"),  # found out when it is asked for
    "create": ("create",),  # answered at once, never stored
}

# Two views of the same objects: what is asked for -> whose store holds them (versions.py translates). Where a
# kind is in two versions of its group, it is kept in the first.
_STORED_AS = {"events.events.k8s.io": "events"}

_SUBRESOURCE_KINDS = {
    "attach": ("", "v1", "PodAttachOptions"),
    "binding": ("", "v1", "Binding"),
    "eviction": ("policy", "v1", "Eviction"),
    "exec": ("", "v1", "PodExecOptions"),
    "portforward": ("", "v1", "PodPortForwardOptions"),
    "scale": ("autoscaling", "v1", "Scale"),
    "token": ("authentication.k8s.io", "v1", "TokenRequest"),
}
_SUBRESOURCE_VERBS = {
    "attach": ("create", "get"),
    "binding": ("create",),
    "eviction": ("create",),
    "token": ("create",),
    "finalize": ("update",),
    "log": ("get",),
    "exec": ("create", "get"),
    "portforward": ("create", "get"),
    "proxy": ("create", "delete", "get", "patch", "update"),
}

# Subresources that came later than their resource: the minor version that first serves them by default.
_SINCE = {("pods", "resize"): 33}

# What is deleted of these is the answer to its deletion; of others a Status is.
_TOLD_WHEN_DELETED = frozenset(
    {
        *("persistentvolumeclaims", "persistentvolumes", "pods", "podtemplates", "resourcequotas"),
        *("serviceaccounts", "services"),
        *(f"{plural}.resource.k8s.io" for plural in ("deviceclasses", "resourceclaims", "resourceclaimtemplates")),
        *("resourceslices.resource.k8s.io", "csidrivers.storage.k8s.io", "csinodes.storage.k8s.io"),
        *(
            "storageclasses.storage.k8s.io",
            "volumeattachments.storage.k8s.io",
            "volumeattributesclasses.storage.k8s.io",
        ),
    }
)

# They take over the connection: in discovery, not in OpenAPI, whose schemas have no kind for them.
CONNECTING = ("attach", "exec", "portforward", "proxy")

# Group versions that others have replaced: no version of Kubernetes serves both, so nothing is translated.
_SUCCEEDED = frozenset({"scheduling.k8s.io/v1alpha1"})

# A line starting with "=" opens a group version. SCOPE: ns (namespaced) or cluster. "-" is empty.
_TABLE = """
# KIND                    PLURAL                     SHORT   SCOPE    VERBS   SUBRESOURCES                 CATEGORIES

= v1
Binding                   bindings                   -       ns       create  -                            -
ComponentStatus           componentstatuses          cs      cluster  read    -                            -
ConfigMap                 configmaps                 cm      ns       all     -                            -
Endpoints                 endpoints                  ep      ns       all     -                            -
Event                     events                     ev      ns       all     -                            -
LimitRange                limitranges                limits  ns       all     -                            -
Namespace                 namespaces                 ns      cluster  single  finalize,status              -
Node                      nodes                      no      cluster  all     proxy,status                 -
PersistentVolumeClaim     persistentvolumeclaims     pvc     ns       all     status                       -
PersistentVolume          persistentvolumes          pv      cluster  all     status                       -
Pod pods po ns all attach,binding,ephemeralcontainers,eviction,exec,log,portforward,proxy,resize,status all
PodTemplate               podtemplates               -       ns       all     -                            -
ReplicationController     replicationcontrollers     rc      ns       all     scale,status                 all
ResourceQuota             resourcequotas             quota   ns       all     status                       -
Secret                    secrets                    -       ns       all     -                            -
ServiceAccount            serviceaccounts            sa      ns       all     token                        -
Service                   services                   svc     ns       all     proxy,status                 all

= apiregistration.k8s.io/v1
APIService apiservices - cluster all status api-extensions

= apps/v1
ControllerRevision        controllerrevisions        -       ns       all     -                            -
DaemonSet                 daemonsets                 ds      ns       all     status                       all
Deployment                deployments                deploy  ns       all     scale,status                 all
ReplicaSet                replicasets                rs      ns       all     scale,status                 all
StatefulSet               statefulsets               sts     ns       all     scale,status                 all

= events.k8s.io/v1
Event                     events                     ev      ns       all     -                            -

= authentication.k8s.io/v1
SelfSubjectReview         selfsubjectreviews         -       cluster  create  -                            -
TokenReview               tokenreviews               -       cluster  create  -                            -

= authorization.k8s.io/v1
LocalSubjectAccessReview  localsubjectaccessreviews  -       ns       create  -                            -
SelfSubjectAccessReview   selfsubjectaccessreviews   -       cluster  create  -                            -
SelfSubjectRulesReview    selfsubjectrulesreviews    -       cluster  create  -                            -
SubjectAccessReview       subjectaccessreviews       -       cluster  create  -                            -

= autoscaling/v2
HorizontalPodAutoscaler   horizontalpodautoscalers   hpa     ns       all     status                       all

= autoscaling/v1
HorizontalPodAutoscaler   horizontalpodautoscalers   hpa     ns       all     status                       all

= batch/v1
CronJob                   cronjobs                   cj      ns       all     status                       all
Job                       jobs                       -       ns       all     status                       all

= certificates.k8s.io/v1
CertificateSigningRequest certificatesigningrequests csr   cluster  all     approval,status              -

= networking.k8s.io/v1
IngressClass              ingressclasses             -       cluster  all     -                            -
Ingress                   ingresses                  ing     ns       all     status                       -
IPAddress                 ipaddresses                ip      cluster  all     -                            -
NetworkPolicy             networkpolicies            netpol  ns       all     -                            -
ServiceCIDR               servicecidrs               -       cluster  all     status                       -

= policy/v1
PodDisruptionBudget       poddisruptionbudgets       pdb     ns       all     status                       -

= rbac.authorization.k8s.io/v1
ClusterRoleBinding        clusterrolebindings        -       cluster  all     -                            -
ClusterRole               clusterroles               -       cluster  all     -                            -
RoleBinding               rolebindings               -       ns       all     -                            -
Role                      roles                      -       ns       all     -                            -

= storage.k8s.io/v1
CSIDriver                 csidrivers                 -       cluster  all     -                            -
CSINode                   csinodes                   -       cluster  all     -                            -
CSIStorageCapacity        csistoragecapacities       -       ns       all     -                            -
StorageClass              storageclasses             sc      cluster  all     -                            -
VolumeAttachment          volumeattachments          -       cluster  all     status                       -
VolumeAttributesClass     volumeattributesclasses    vac     cluster  all     -                            -

= admissionregistration.k8s.io/v1
MutatingAdmissionPolicy          mutatingadmissionpolicies         - cluster all -      api-extensions
MutatingAdmissionPolicyBinding   mutatingadmissionpolicybindings   - cluster all -      api-extensions
MutatingWebhookConfiguration     mutatingwebhookconfigurations     - cluster all -      api-extensions
ValidatingAdmissionPolicy        validatingadmissionpolicies       - cluster all status api-extensions
ValidatingAdmissionPolicyBinding validatingadmissionpolicybindings - cluster all -      api-extensions
ValidatingWebhookConfiguration   validatingwebhookconfigurations   - cluster all -      api-extensions

= apiextensions.k8s.io/v1
CustomResourceDefinition  customresourcedefinitions  crd,crds cluster all    status                       api-extensions

= scheduling.k8s.io/v1
PriorityClass             priorityclasses            pc      cluster  all     -                            -

= scheduling.k8s.io/v1alpha2
PodGroup                  podgroups                  -       ns       all     status                       -
Workload                  workloads                  -       ns       all     -                            -

= scheduling.k8s.io/v1alpha1
Workload                  workloads                  -       ns       all     -                            -

= coordination.k8s.io/v1
Lease                     leases                     -       ns       all     -                            -

= node.k8s.io/v1
RuntimeClass              runtimeclasses             -       cluster  all     -                            -

= discovery.k8s.io/v1
EndpointSlice             endpointslices             -       ns       all     -                            -

= resource.k8s.io/v1
DeviceClass               deviceclasses              -       cluster  all     -                            -
ResourceClaim             resourceclaims             -       ns       all     status                       -
ResourceClaimTemplate     resourceclaimtemplates     -       ns       all     -                            -
ResourceSlice             resourceslices             -       cluster  all     -                            -

= flowcontrol.apiserver.k8s.io/v1
FlowSchema                  flowschemas                  -     cluster  all     status                       -
PriorityLevelConfiguration  prioritylevelconfigurations  -     cluster  all     status                       -

= flowcontrol.apiserver.k8s.io/v1beta3
FlowSchema                  flowschemas                  -     cluster  all     status                       -
PriorityLevelConfiguration  prioritylevelconfigurations  -     cluster  all     status                       -

= flowcontrol.apiserver.k8s.io/v1beta2
FlowSchema                  flowschemas                  -     cluster  all     status                       -
PriorityLevelConfiguration  prioritylevelconfigurations  -     cluster  all     status                       -
"""


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind in one group version, and what can be asked of it.

    `group_resource` is kubectl's notation, and the name in protocols/api.py: "pods", "deployments.apps". It and
    `api_version` follow from the rest, and are asked for dozens of times in a request, so they are worked out once.
    """

    group: str  # "" for core
    version: str
    kind: str
    plural: str
    singular: str
    namespaced: bool
    short_names: tuple[str, ...]
    categories: tuple[str, ...]
    verbs: tuple[str, ...]
    subresources: tuple[str, ...] = field(compare=False)  # those of the version of Kubernetes that is served
    storage: str  # the group resource that the objects are stored as: its own, but for aliases
    alias: bool = False  # its objects are kept as those of another group or version, and translated on the way
    custom: CustomVersion | None = field(default=None, compare=False, repr=False)  # None: built in
    group_resource: str = field(init=False, compare=False, repr=False)
    api_version: str = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        grouped = (f"{self.plural}.{self.group}", f"{self.group}/{self.version}")
        name, version = grouped if self.group else (self.plural, self.version)
        object.__setattr__(self, "group_resource", name)
        object.__setattr__(self, "api_version", version)

    @property
    def list_kind(self) -> str:
        return self.custom.list_kind if self.custom is not None else f"{self.kind}List"

    @property
    def selectable(self) -> tuple[str, ...]:
        """The fields that a custom resource can be selected by; those of built-in ones are in selectors.py."""
        return self.custom.selectable if self.custom is not None else ()

    @property
    def stored(self) -> bool:
        """False for what is answered at once and kept nowhere: reviews, bindings, the health of components."""
        return "watch" in self.verbs


def find(group_resource: str) -> Resource | None:
    """The resource by kubectl's notation: "pods", "deployments.apps"."""
    return _BY_GROUP_RESOURCE.get(group_resource)


def named(word: str) -> Resource | None:
    """The resource that a person means: "po", "pod", "pods", "deploy", "deployments.apps"; as kubectl takes it."""
    word = word.lower()
    plain = (each for each in RESOURCES if word in (each.plural, each.singular, *each.short_names))
    return find(word) or next(plain, None)


def by_path(group: str, version: str, plural: str) -> Resource | None:
    """The resource behind a REST path; group "" for /api/v1."""
    return _BY_PATH.get((group, version, plural))


def by_kind(api_version: str, kind: str) -> Resource | None:
    """The resource that an object's own apiVersion and kind name."""
    return _BY_KIND.get((api_version, kind))


def subresource_kind(resource: Resource, subresource: str) -> tuple[str, str, str]:
    """The (group, version, kind) that a subresource speaks; its resource's own unless it says otherwise."""
    if subresource == "proxy":
        return "", "v1", f"{resource.kind}ProxyOptions"
    return _SUBRESOURCE_KINDS.get(subresource, (resource.group, resource.version, resource.kind))


def as_of(resource: Resource, minor: int) -> Resource:
    """The resource as Kubernetes 1.`minor` serves it."""
    later = {name for (of, name), since in _SINCE.items() if of == resource.group_resource and minor < since}
    if not later:
        return resource
    return replace(resource, subresources=tuple(each for each in resource.subresources if each not in later))


def is_told_when_deleted(resource: Resource) -> bool:
    """Whether a deletion answers with the object that is gone, and not with a Status."""
    return resource.group_resource in _TOLD_WHEN_DELETED


def verbs_of(name: str) -> tuple[str, ...]:
    """The verbs by their name in the table."""
    return _VERBS[name]


def subresource_verbs(subresource: str) -> tuple[str, ...]:
    return _SUBRESOURCE_VERBS.get(subresource, ("get", "patch", "update"))


def _parse(table: str) -> tuple[Resource, ...]:
    resources: list[Resource] = []
    group_version = ""
    for line in table.splitlines():
        if line.startswith("="):
            group_version = line[1:].strip()
        elif line and not line.startswith("#"):
            row = _row(group_version, line.split())
            again = any(row.group_resource == other.group_resource for other in resources)
            alias = again and group_version not in _SUCCEEDED
            resources.append(replace(row, alias=alias or row.storage != row.group_resource))
    return tuple(resources)


def _row(group_version: str, cells: list[str]) -> Resource:
    kind, plural, short_names, scope, verbs, subresources, categories = cells
    group, _, version = group_version.rpartition("/")
    group_resource = f"{plural}.{group}" if group else plural
    return Resource(
        group=group,
        version=version,
        kind=kind,
        plural=plural,
        singular=kind.lower(),
        namespaced=scope == "ns",
        short_names=_names(short_names),
        categories=_names(categories),
        verbs=_VERBS[verbs],
        subresources=_names(subresources),
        storage=_STORED_AS.get(group_resource, group_resource),
    )


def _names(cell: str) -> tuple[str, ...]:
    return () if cell == "-" else tuple(cell.split(","))


RESOURCES: tuple[Resource, ...] = _parse(_TABLE)

# What an aggregated API would serve, rest/metrics_api.py serves: in discovery beside the others, and nowhere else.
METRICS = _parse("""
= metrics.k8s.io/v1beta1
NodeMetrics               nodes                      -       cluster  read    -                            -
PodMetrics                pods                       -       ns       read    -                            -
""")

_BY_GROUP_RESOURCE = {resource.group_resource: resource for resource in reversed(RESOURCES)}
_BY_PATH = {(resource.group, resource.version, resource.plural): resource for resource in RESOURCES}
_BY_KIND = {(resource.api_version, resource.kind): resource for resource in RESOURCES}
