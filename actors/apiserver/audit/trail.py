"""What is written of each request, stage by stage: the policy's verdict, as soon as it is known who asks."""

from __future__ import annotations

from collections.abc import Callable

import orjson

from actors.apiserver.access.attributes import Attributes, Decision
from actors.apiserver.audit.event import REQUEST, RESPONSE, Facts, event_of
from actors.apiserver.audit.policy import LEVELS, NOTHING, Policy, Stage
from actors.apiserver.callers import Caller
from protocols.objects import Object, meta

_LASTING = ("attach", "exec", "log", "portforward", "proxy")


class Trail:
    """`write` takes an event; it is called at most once for each stage of a request."""

    def __init__(self, policy: Policy, write: Callable[[Object], None], now: Callable[[], float]) -> None:
        self.policy = policy
        self.write = write
        self.now = now


class Record:
    """One request. `annotations` may be added to until it is complete."""

    def __init__(self, trail: Trail, facts: Facts) -> None:
        self.facts = facts
        self._trail = trail
        self._verdict = NOTHING
        self._written: set[Stage] = set()
        self._has_come = False

    @property
    def annotations(self) -> dict[str, str]:
        return self.facts.annotations

    @property
    def wants_request(self) -> bool:
        return LEVELS.index(self._verdict.level) >= REQUEST

    @property
    def wants_response(self) -> bool:
        return LEVELS.index(self._verdict.level) >= RESPONSE

    def received(self, caller: Caller, asked: Attributes) -> None:
        """Who asks is known, and nothing else has been looked at. A second time says nothing new."""
        self._has_come = True
        self.facts.caller, self.facts.asked = caller, asked
        self._verdict = self._trail.policy.verdict(caller, asked)
        self._stage("RequestReceived")

    def decided(self, caller: Caller, decision: Decision) -> None:
        """As whom it was authorised, and with which outcome."""
        if caller != self.facts.caller:
            self.facts.impersonated = caller
        self.annotations["authorization.k8s.io/decision"] = "allow" if decision.allowed else "forbid"
        self.annotations["authorization.k8s.io/reason"] = decision.reason

    def sent(self, obj: Object) -> None:
        """The object that a create or update sends, as it is understood. Only the first word counts: who admits it may
        make another of it."""
        if self.facts.sent is None:
            self.facts.sent = {**meta(obj)}
            if self.wants_request:
                self.facts.body = orjson.dumps(obj)

    def started(self, code: int) -> None:
        """An answer that takes its time (a watch, a log, a session) has begun."""
        self.facts.code = code
        self._stage("ResponseStarted")

    @property
    def has_come(self) -> bool:
        """Whether it is known who asks."""
        return self._has_come

    def refused(self, caller: Caller, asked: Attributes, code: int, status: Object) -> None:
        """Before it was known who asks: that is nobody, and the policy's rules for nobody hold."""
        facts = self.facts
        facts.caller, facts.asked, facts.status, facts.code = None, asked, status, code
        self._verdict = self._trail.policy.verdict(caller, asked)
        facts.reply = orjson.dumps(status) if self.wants_response else None
        self._stage("ResponseStarted")

    def complete(self, code: int, status: Object | None = None, reply: bytes | None = None) -> None:
        self.facts.code, self.facts.status, self.facts.reply = code, status, reply
        if self.facts.asked.subresource in _LASTING:
            self._stage("ResponseStarted")  # also where nothing came of it
        self._stage("ResponseComplete")

    def panicked(self, status: Object) -> None:
        self.facts.code, self.facts.status = 500, status
        self._stage("Panic")

    def _stage(self, stage: Stage) -> None:
        verdict = self._verdict
        if verdict.level == "None" or stage in verdict.omit_stages or stage in self._written:
            return
        self._written.add(stage)
        self._trail.write(event_of(self.facts, verdict, stage, self._trail.now()))
