"""Who has which of the default roles. The bindings of controllers' roles follow from their table."""

from __future__ import annotations

_AUTHENTICATED, _UNAUTHENTICATED = "group:system:authenticated", "group:system:unauthenticated"
_MANAGER, _SCHEDULER = "user:system:kube-controller-manager", "user:system:kube-scheduler"

_ANONYMOUS = "user:system:anonymous"


def _of_controller(name: str, *others: str) -> tuple[str, str, list[str]]:
    """RoleBinding, Role, and its account, besides whom else acts for it."""
    return f"system:controller:{name}", f"system:controller:{name}", [f"account:kube-system/{name}", *others]


# A ClusterRole, and the subjects of the ClusterRoleBinding of the same name.
CLUSTER: dict[str, list[str]] = {
    "cluster-admin": ["group:system:masters"],
    "system:monitoring": ["group:system:monitoring"],
    "system:discovery": [_AUTHENTICATED],
    "system:basic-user": [_AUTHENTICATED],
    "system:public-info-viewer": [_AUTHENTICATED, _UNAUTHENTICATED],
    "system:service-account-issuer-discovery": ["group:system:serviceaccounts"],
    "system:node": [],  # the Node authoriser allows nodes what they need
    "system:node-proxier": ["user:system:kube-proxy"],
    "system:kube-controller-manager": [_MANAGER],
    "system:cloud-controller-manager": ["user:system:cloud-controller-manager"],
    "system:kube-dns": ["account:kube-system/kube-dns"],
    "system:kube-scheduler": [_SCHEDULER],
    "system:volume-scheduler": [_SCHEDULER],
}

# Namespace, name of the RoleBinding, Role, subjects.
NAMESPACED: list[tuple[str, str, str, list[str]]] = [
    (
        "kube-system",
        "system::extension-apiserver-authentication-reader",
        "extension-apiserver-authentication-reader",
        [_MANAGER, _SCHEDULER],
    ),
    (
        "kube-system",
        "system::leader-locking-kube-controller-manager",
        "system::leader-locking-kube-controller-manager",
        [_MANAGER, "account:kube-system/kube-controller-manager"],
    ),
    (
        "kube-system",
        "system::leader-locking-kube-scheduler",
        "system::leader-locking-kube-scheduler",
        [_SCHEDULER, "account:kube-system/kube-scheduler"],
    ),
    # As kubeadm has it: who joins a cluster looks at it before it shows a token.
    ("kube-public", "kubeadm:bootstrap-signer-clusterinfo", "kubeadm:bootstrap-signer-clusterinfo", [_ANONYMOUS]),
    ("kube-system", *_of_controller("cloud-provider")),
    *((namespace, *_of_controller("bootstrap-signer", _MANAGER)) for namespace in ("kube-system", "kube-public")),
    ("kube-system", *_of_controller("token-cleaner", _MANAGER)),
]
