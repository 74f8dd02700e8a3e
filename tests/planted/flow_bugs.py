"""Bugs of priority and fairness."""

from __future__ import annotations

from tests.planted.bug import Bug

_MESSAGES = "tests/apiserver/flowcontrol/test_flow_messages.py"
_QUEUES = "actors/apiserver/flowcontrol/queueset.py"
_LEVELS = "actors/apiserver/flowcontrol/levels.py"
_TESTS = "tests/apiserver/flowcontrol"
_REST = f"{_TESTS}/test_flow_rest.py"
_MODEL = f"{_TESTS}/test_queueset.py::test_it_decides_as_the_model_does"

FLOWS = [
    Bug(
        "requests are served before they have a seat",
        "actors/apiserver/rest/server.py",
        "            await way.enter()\n",
        "",
        f"{_REST}::test_a_flood_by_one_user_does_not_keep_another_waiting",
    ),
    Bug(
        "all users of a schema are one flow",
        "actors/apiserver/flowcontrol/matching.py",
        "        return caller.user\n",
        '        return ""\n',
        f"{_REST}::test_a_flood_by_one_user_does_not_keep_another_waiting",
    ),
    Bug(
        "a watch keeps its seat to its end",
        "actors/apiserver/rest/watch.py",
        "            has_begun(request)\n",
        "",
        f"{_REST}::test_what_lasts_takes_no_seat_once_it_has_begun",
    ),
    Bug(
        "a queue saves up what it could not use",
        _QUEUES,
        "        if self.waiting and self.next_r < self.waiting[0].arrived_r:",
        "        if False:",
        _MODEL,
    ),
    Bug(
        "how long a request took is not corrected",
        _QUEUES,
        "            queue.next_r -= request.seats * (ESTIMATE_S - (now - request.started_at))\n",
        "",
        _MODEL,
    ),
    Bug(
        "of queues that are equal the first is served for ever",
        _QUEUES,
        "(queue.index - after) % self._indexes",
        "queue.index",
        f"{_TESTS}/test_queueset.py::test_queues_that_are_equal_take_turns",
    ),
    Bug(
        "a wide request is served where it has no room",
        _QUEUES,
        "            if not self._has_room(request.seats):\n                break\n",
        "",
        f"{_TESTS}/test_queueset.py::test_a_wide_request_waits_until_it_has_room",
    ),
    Bug(
        "a level without seats serves",
        _QUEUES,
        "        if not self.waiting and self.seats_executing < self.seats_max and self._has_room(seats):",
        "        if not self.waiting and self._has_room(seats):",
        f"{_TESTS}/test_queueset.py::test_a_level_without_seats_keeps_everything_waiting",
    ),
    Bug(
        "what a request was taken for is remembered when schemas change",
        _LEVELS,
        "        self._flows.clear()\n        described",
        "        described",
        f"{_REST}::test_who_finds_no_seat_is_sent_away_in_kubernetes_words",
    ),
    Bug(
        "exempt requests take nothing from the others",
        _LEVELS,
        "divide(seats, [(level.bounds, level.demand) for level in limited], taken)",
        "divide(seats, [(level.bounds, level.demand) for level in limited])",
        f"{_TESTS}/test_shares.py::test_a_level_lends_less_while_exempt_requests_are_many",
    ),
    Bug(
        "what actors ask by message passes no gate",
        "actors/apiserver/flowcontrol/door.py",
        "if system is None or _is_waved_through(system):",
        "if True:",
        f"{_MESSAGES}::test_a_flood_by_one_that_has_joined_does_not_keep_another_waiting",
    ),
    Bug(
        "messages that wait at the gate fill the API server's places",
        "actors/apiserver/actor.py",
        "        if way is None or way.started_at is not None:\n            return answer\n",
        "        if True:\n            return answer\n",
        f"{_MESSAGES}::test_those_that_wait_take_no_place_of_those_that_need_not",
    ),
    Bug(
        "a watch by message keeps its seat for as long as it lasts",
        "actors/apiserver/actor.py",
        "            outlet.end(refusal)\n        finally:\n            if way is not None:\n",
        "            outlet.end(refusal)\n        finally:\n            if False:\n",
        f"{_MESSAGES}::test_a_watch_by_message_holds_a_seat_only_until_it_has_begun",
    ),
]
