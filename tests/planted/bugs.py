"""Bugs to plant, one at a time, to see that the suite finds each. Most are ones that real systems have had.

A bug is one replacement of text: `old`, which stands exactly once in `file`, becomes `new`; then `test` (what finds it
at the least cost; others may find it too) must fail. Some eighty more, of the store alone, are in
tests/etcd/planted_bugs.py.
"""

from __future__ import annotations

from tests.planted.access_bugs import ACCESS
from tests.planted.admission_bugs import ADMISSION
from tests.planted.answer_bugs import ANSWERS
from tests.planted.auth_bugs import AUTHORISATION
from tests.planted.autoscale_bugs import AUTOSCALING
from tests.planted.behaviour_bugs import BEHAVIOUR
from tests.planted.controller_bugs import CONTROLLERS
from tests.planted.custom_bugs import CUSTOM
from tests.planted.device_bugs import DEVICES
from tests.planted.explain_bugs import EXPLANATIONS
from tests.planted.expression_bugs import EXPRESSIONS
from tests.planted.extender_bugs import EXTENDERS
from tests.planted.flow_bugs import FLOWS
from tests.planted.grpc_bugs import GRPC
from tests.planted.history_bugs import HISTORY
from tests.planted.job_bugs import JOBS
from tests.planted.kind_bugs import KINDS
from tests.planted.life_bugs import HANDOVER, LIFE, MONITORS, NAMES
from tests.planted.link_bugs import HOSTILE_PEERS, LINKS
from tests.planted.list_bugs import LISTS
from tests.planted.node_bugs import NODE
from tests.planted.preemption_bugs import PREEMPTION
from tests.planted.rule_bugs import RULES
from tests.planted.runtime_bugs import BACKOFF, CLOCK, GUESTS, MAILBOXES, RUNTIME, SHORT_WAYS
from tests.planted.scheduler_bugs import SCHEDULER
from tests.planted.server_bugs import API_SERVER
from tests.planted.serving_bugs import SERVING
from tests.planted.store_bugs import STORE
from tests.planted.stream_bugs import STREAMS
from tests.planted.update_bugs import UPDATES
from tests.planted.volume_bugs import VOLUMES
from tests.planted.warn_bugs import WARNED
from tests.planted.wire_bugs import FRAMES
from tests.planted.world_bugs import OBSERVATION, SIMULATION, TESTING

BUGS = [
    *STORE,
    *HISTORY,
    *GRPC,
    *AUTHORISATION,
    *API_SERVER,
    *ANSWERS,
    *BEHAVIOUR,
    *LISTS,
    *ADMISSION,
    *ACCESS,
    *FLOWS,
    *CUSTOM,
    *EXPRESSIONS,
    *KINDS,
    *RULES,
    *UPDATES,
    *WARNED,
    *STREAMS,
    *SCHEDULER,
    *PREEMPTION,
    *EXPLANATIONS,
    *EXTENDERS,
    *SERVING,
    *CONTROLLERS,
    *JOBS,
    *AUTOSCALING,
    *VOLUMES,
    *DEVICES,
    *NODE,
    *RUNTIME,
    *GUESTS,
    *MAILBOXES,
    *BACKOFF,
    *SHORT_WAYS,
    *HOSTILE_PEERS,
    *LINKS,
    *FRAMES,
    *CLOCK,
    *LIFE,
    *MONITORS,
    *NAMES,
    *HANDOVER,
    *SIMULATION,
    *OBSERVATION,
    *TESTING,
]
