"""ImageLocality: prefer nodes that hold the pod's images, large and widely spread ones more."""

from __future__ import annotations

import numpy as np

from actors.scheduler.columns import Floats, Rows
from actors.scheduler.framework import SCORE_MAX, Cycle, PreScore, Scope, Score

_MIB = 1024 * 1024
_SIZE_BYTES_MIN = 23 * _MIB
_SIZE_BYTES_MAX = 1000 * _MIB


class ImageLocality(PreScore, Score):
    name = "ImageLocality"
    scope = Scope.OBJECT

    def pre_score(self, cycle: Cycle) -> None:
        spec = cycle.shape.spec
        containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
        cycle.memo[self.name] = [full_name(container.get("image") or "") for container in containers]

    def score(self, cycle: Cycle, rows: Rows) -> Floats | None:
        state, images = cycle.state, cycle.memo[self.name]
        held = np.zeros(state.rows)
        for image in images:
            worth = _worth(cycle, image)
            if worth:
                held[[state.objects.row_of[node] for node in state.image_sizes[image]]] += worth
        if not held.any():
            return None
        highest = _SIZE_BYTES_MAX * len(images)
        counted = np.clip(held, _SIZE_BYTES_MIN, highest) - _SIZE_BYTES_MIN
        return np.floor(SCORE_MAX * counted / (highest - _SIZE_BYTES_MIN))[rows]


def _worth(cycle: Cycle, image: str) -> int:
    """Its size, scaled down while few nodes have it: or all its pods would gather where it was pulled first."""
    size, holders = cycle.state.image_spread(image)
    return int(size * (holders / len(cycle.state.nodes)))


def full_name(image: str) -> str:
    """An image name without tag or digest means `:latest`."""
    return f"{image}:latest" if image.rfind(":") <= image.rfind("/") else image
