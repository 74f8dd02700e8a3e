"""Why there is no log yet, in Kubernetes' words."""

from __future__ import annotations

import pytest

from actors.kubelet.actions import Failed, Pull
from actors.kubelet.logs import chosen_instance
from protocols.api import ReadLog
from protocols.errors import BadRequest
from tests.kubelet.talk import Talk, container, pod


def why(talk: Talk, name: str = "main") -> str:
    with pytest.raises(BadRequest) as refused:
        chosen_instance(talk.worker, ReadLog("default", "web-0", name))
    said = str(refused.value)
    assert said.startswith(f'container "{name}" in pod "web-0" is waiting to start: ')
    return said.partition("start: ")[2]


def test_an_image_that_cannot_be_pulled_is_why() -> None:
    talk = Talk(pod())
    before = why(talk)
    talk.refuse[Pull] = Failed("ErrImagePull", "there is none")
    talk.run()
    first = why(talk)
    talk.run(15)

    assert (before, first, why(talk)) == (
        "ContainerCreating",
        "image can't be pulled",
        "trying and failing to pull image",
    )


def test_whoever_waits_for_the_init_containers_says_so() -> None:
    talk = Talk(pod(initContainers=[container("first")]))
    talk.run()

    assert why(talk) == "PodInitializing"
