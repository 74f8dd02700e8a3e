"""Where objects lie in the store: /registry/<group or "core">/<resource>/[<namespace>/]<name>.

Inside the API server an object is named by its resource (kubectl's notation, "deployments.apps") and its key
("default/web", or "node-1" for what has no namespace). Keys sort as the store sorts them.
"""

from __future__ import annotations

ROOT = b"/registry/"
ROOT_END = b"/registry0"  # "0" follows "/": the end of the range of all keys below the root

# Below this pseudo-group lies what is taken exactly once (cluster IPs, node ports): no objects, but who holds them.
CLAIMS = "claims"


def store_key(group_resource: str, key: str) -> bytes:
    """The store's key of an object."""
    plural, _, group = group_resource.partition(".")
    return f"/registry/{group or 'core'}/{plural}/{key}".encode()


def range_of(group_resource: str, namespace: str = "") -> tuple[bytes, bytes]:
    """Where the objects of a resource begin and end in the store, or those of one namespace of it."""
    start = store_key(group_resource, f"{namespace}/" if namespace else "")
    return start, start[:-1] + b"0"


def claim_key(kind: str, value: str) -> bytes:
    """The key that exists while `value` (an address, a port) is taken."""
    return f"/registry/{CLAIMS}/{kind}/{value}".encode()


def parse_store_key(key: bytes) -> tuple[str, str] | None:
    """(group resource, object key) of a key in the store; None for what is no object and no claim."""
    parts = key.decode(errors="replace").split("/", 4)
    if len(parts) != 5 or parts[0] or parts[1] != "registry":
        return None
    _, _, group, plural, rest = parts
    return (plural if group == "core" else f"{plural}.{group}"), rest


def object_key(namespace: str, name: str) -> str:
    return f"{namespace}/{name}" if namespace else name
