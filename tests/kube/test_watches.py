"""Which keys a change concerns."""

from __future__ import annotations

from actorkube.kube import View, Views, Watches
from actorkube.kube.alike import looks_at
from actorkube.kube.controller import Concern
from actorkube.kube.view import Entry
from protocols.api import WatchEvent
from protocols.objects import Object, encode_object, labels_of


def app_of(obj: Object) -> str:
    return labels_of(obj)["app"]


class Told:
    """Hears of changes of pods, by what one watch makes of them."""

    def __init__(self, watches: Watches) -> None:
        self.concerned: list[list[str]] = []
        self._revision = 0
        self._view = View("pods", summaries=watches.summaries)
        self._concern = Concern(watches, Views({"pods": self._view}))
        self._view.on_change(self._changed, watches.when)

    def say(self, type: str, app: str, ready: bool = False) -> None:
        self._revision += 1
        obj = {"metadata": {"name": "a", "uid": "u", "labels": {"app": app}}, "ready": ready}
        self._view.apply(WatchEvent(type, encode_object(obj), self._revision), 0.0)  # type: ignore[arg-type]

    def _changed(self, key: str, old: Entry | None, new: Entry | None) -> None:
        self.concerned.append(self._concern.keys(old, new))


def test_who_is_told_by_a_summary_is_asked_before_and_after_it_changes() -> None:
    told = Told(Watches("pods", lambda app, views: [app], summaries={"app": app_of}, told_by="app"))

    told.say("ADDED", "web")
    told.say("MODIFIED", "db")
    told.say("DELETED", "db")

    assert told.concerned == [["web"], ["web", "db"], ["db"]]


def test_a_summary_that_stays_is_asked_about_once() -> None:
    asked: list[str] = []

    def keys(app: str, views: Views) -> list[str]:
        asked.append(app)
        return [app]

    told = Told(Watches("pods", keys, summaries={"app": app_of}, told_by="app"))
    told.say("ADDED", "web")
    told.say("MODIFIED", "web", ready=True)

    assert (told.concerned, asked) == ([["web"], ["web"]], ["web", "web"])


def test_objects_that_share_a_summary_are_asked_about_once_until_another_view_changes() -> None:
    services, asked = View("services"), []

    def keys(labels: dict[str, str], views: Views) -> list[str]:
        asked.append(labels["app"])
        return list(views["services"])

    shared = looks_at("metadata.labels")(labels_of)
    watches = Watches("pods", keys, summaries={"labels": shared}, told_by="labels")
    pods = View("pods", summaries=watches.summaries)
    concern, heard = Concern(watches, Views({"pods": pods, "services": services})), []
    pods.on_change(lambda key, old, new: heard.append(concern.keys(old, new)))

    for revision, view, name in ((1, pods, "a"), (2, pods, "b"), (3, services, "s"), (4, pods, "c"), (5, pods, "d")):
        obj = {"metadata": {"name": name, "uid": name, "labels": {"app": "web"}}}
        view.apply(WatchEvent("ADDED", encode_object(obj), revision), 0.0)

    assert (heard, asked) == ([[], [], ["s"], ["s"]], ["web", "web"])


def test_what_a_change_leaves_as_it_was_is_not_told_to_who_only_wants_to_hear_of_that() -> None:
    told = Told(Watches("pods", lambda app, views: [app], summaries={"app": app_of}, when="app", told_by="app"))

    told.say("ADDED", "web")
    told.say("MODIFIED", "web", ready=True)
    told.say("MODIFIED", "db")

    assert told.concerned == [["web"], ["web", "db"]]
