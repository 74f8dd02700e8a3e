"""ImageLocality: prefer nodes that hold the pod's images, large and widely spread ones more."""

from __future__ import annotations

from collections.abc import Sequence

from actors.scheduler.demand import PodDemand
from actors.scheduler.framework import SCORE_MAX, SKIP, Cycle, PreScore, Score, Skip
from actors.scheduler.node_state import NodeState

_MIB = 1024 * 1024
_SIZE_BYTES_MIN = 23 * _MIB
_SIZE_BYTES_MAX = 1000 * _MIB


class ImageLocality(PreScore, Score):
    name = "ImageLocality"

    def pre_score(self, cycle: Cycle, pod: PodDemand) -> Skip | None:
        containers = [*(pod.spec.get("initContainers") or ()), *(pod.spec.get("containers") or ())]
        images = [full_name(container.get("image") or "") for container in containers]
        worth = {image: _worth(cycle, image) for image in images}
        cycle.memo[self.name] = [(image, worth[image]) for image in images]
        return None if any(worth.values()) else SKIP

    def score(self, cycle: Cycle, pod: PodDemand, nodes: Sequence[NodeState]) -> list[int]:
        images: list[tuple[str, int]] = cycle.memo[self.name]
        return [_score(sum(worth for image, worth in images if image in node.images), len(images)) for node in nodes]


def _score(held_bytes: int, containers: int) -> int:
    """Linear between what is hardly worth it and what is as good as it gets."""
    highest = _SIZE_BYTES_MAX * containers
    counted = min(max(held_bytes, _SIZE_BYTES_MIN), highest)
    return SCORE_MAX * (counted - _SIZE_BYTES_MIN) // (highest - _SIZE_BYTES_MIN)


def _worth(cycle: Cycle, image: str) -> int:
    """Its size, scaled down while few nodes have it: or all its pods would gather where it was pulled first."""
    size, holders = cycle.state.image_spread(image)
    return int(size * (holders / len(cycle.state.nodes)))


def full_name(image: str) -> str:
    """An image name without tag or digest means `:latest`."""
    return f"{image}:latest" if image.rfind(":") <= image.rfind("/") else image
