"""Kubernetes' client machinery for actors: client, view (informer cache), work queue, controller shell, events."""

from actorkube.kube.actor import ControllerActor
from actorkube.kube.client import Client
from actorkube.kube.controller import Controller, Grows, Views, Watches, own_key
from actorkube.kube.events import Recorder
from actorkube.kube.follow import follow
from actorkube.kube.queue import WorkQueue
from actorkube.kube.view import Entry, View

__all__ = [
    "Client",
    "Controller",
    "ControllerActor",
    "Entry",
    "Grows",
    "Recorder",
    "View",
    "Views",
    "Watches",
    "WorkQueue",
    "follow",
    "own_key",
]
