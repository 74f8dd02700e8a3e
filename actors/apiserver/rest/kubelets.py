"""What is said of a kubelet that does not answer."""

from __future__ import annotations

from actors.apiserver.answers import not_found
from actors.apiserver.pipeline import Pipeline
from actors.apiserver.schema.resources import find
from protocols.errors import InternalError, StatusError


def unanswered(pipeline: Pipeline, node: str, error: Exception) -> StatusError:
    """That its node is not there, where that is so: Kubernetes says it of a pod, under the node's name."""
    pods = find("pods")
    assert pods is not None
    if pipeline.tokens.lookup("nodes", node) is None:
        return not_found(pods, node)
    return InternalError(f"the kubelet of node {node} does not answer: {error}")
