"""Bugs of the scheduler: what extenders are asked, and what becomes of their answers."""

from __future__ import annotations

from tests.planted.bug import Bug

_VICTIMS = "tests/scheduler/test_preempting_extenders.py"

EXTENDERS = [
    Bug(
        "extenders: who is refused by them where there is room is not given any where there is none",
        "actors/scheduler/extended.py",
        "            return await self._agreed(cycle, pod, cycle.after_filters(pod, found), extenders)\n",
        "            return found\n",
        f"{_VICTIMS}::test_where_extenders_refuse_the_nodes_that_have_room_it_is_made_on_others",
    ),
    Bug(
        "extenders: who would have to go for a pod with claims is looked for where it is not kept any more",
        "actors/scheduler/preemption.py",
        "            found.candidates = candidates.all\n",
        "            found.candidates = cycle.template(pod).cycle.memo.setdefault(whose, Candidates(template)).all\n",
        "tests/scheduler/test_preempting_extenders.py::"
        "test_it_is_asked_about_pods_with_claims_who_have_to_go_for_one_with_a_claim",
    ),
    Bug(
        "an extender's word is not heard",
        "actors/scheduler/extended.py",
        "return left, gone",
        "return names, {}",
        "tests/scheduler/test_extenders.py::test_a_pod_goes_where_its_extender_lets_it",
    ),
    Bug(
        "an extender is asked about pods that are none of its business",
        "actors/scheduler/extenders.py",
        "return not self.managed or not self.managed.isdisjoint(_wanted(shape.spec))",
        "return True",
        "tests/scheduler/test_extenders.py::test_pods_that_it_has_nothing_to_say_about_are_decided_as_ever",
    ),
    Bug(
        "pods that wait for an extender take the places of all others",
        "actors/scheduler/actor.py",
        "        self._rests(True)\n        said =",
        "        said =",
        "tests/scheduler/test_extenders.py::test_a_slow_one_holds_up_nobody_else",
    ),
    Bug(
        "what was free when an extender was asked is free for ever",
        "actors/scheduler/extended.py",
        "rank = {name: float(state.rank.at[state.objects.row_of[name]]) for name in names if name in now}",
        "return Decision(names[0])",
        "tests/scheduler/test_extenders.py::test_who_takes_the_room_meanwhile_keeps_it",
    ),
    Bug(
        "an extender that fails can be ignored, always",
        "actors/scheduler/extended.py",
        "            if not extender.ignorable:\n                raise\n",
        "",
        "tests/scheduler/test_extenders.py::test_one_that_fails_is_named_or_left_out",
    ),
    Bug(
        "an extender may name nodes that nobody asked about",
        "actors/scheduler/extenders.py",
        "if name not in known), None)",
        'if name == ""), None)',
        "tests/scheduler/test_extenders.py::test_one_that_fails_is_named_or_left_out",
    ),
    Bug(
        "an extender's weight weighs nothing",
        "actors/scheduler/extenders.py",
        "score * extender.weight * SCORES_TO_PRIORITIES",
        "score * SCORES_TO_PRIORITIES",
        "tests/scheduler/test_extenders.py::test_extenders_add_to_the_scores",
    ),
    Bug(
        "what an extender refused to bind counts as bound",
        "actors/scheduler/binding.py",
        "return await self._look(attempt, told.message) if isinstance(told, Failed) else told",
        "return Bound()",
        "tests/scheduler/test_extenders.py::test_a_binding_that_an_extender_refuses_is_told",
    ),
    Bug(
        "pods have to go though no extender agrees",
        "actors/scheduler/agreement.py",
        "    found.nomination = None\n",
        "",
        f"{_VICTIMS}::test_without_agreement_nobody_has_to_go",
    ),
    Bug(
        "an extender is shown what others have refused",
        "actors/scheduler/agreement.py",
        "                    victims = await self._left_by(",
        "                    await self._left_by(",
        f"{_VICTIMS}::test_room_is_made_where_the_extender_agrees",
    ),
    Bug(
        "an extender may end pods of another node",
        "actors/scheduler/agreement.py",
        "if uid not in known and (shown is None or uid not in shown.uids):",
        "if False:",
        f"{_VICTIMS}::test_without_agreement_nobody_has_to_go",
    ),
    Bug(
        "budgets that an extender sees violated do not count",
        "actors/scheduler/extenders.py",
        "    return Victims(tuple(map(str, uids)), violations)\n",
        "    return Victims(tuple(map(str, uids)), 0)\n",
        f"{_VICTIMS}::test_what_it_says_of_budgets_counts",
    ),
    Bug(
        "what happens while extenders are asked is not heard",
        "actors/scheduler/actor.py",
        "            if has_news:\n",
        "            if False:\n",
        f"{_VICTIMS}::test_a_victim_that_goes_meanwhile_is_no_victim",
    ),
    Bug(
        "an extender is shown no certificate",
        "actors/scheduler/extender_calls.py",
        "    if tls.cert:\n",
        "    if False:\n",
        "tests/scheduler/test_extenders.py::test_an_extender_that_wants_a_certificate_is_shown_one",
    ),
]
