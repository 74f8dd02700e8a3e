"""What people and other programs get to see of spans, reports and logs."""

from __future__ import annotations

import asyncio
import base64
import importlib.util
import json
import os

import pytest
from msgspec.structs import replace

from actorkube.cli import parser
from actorkube.cli.top import duration, process_table, rows, table, watch
from actorkube.kube.trees import LINES_MAX, summaries, tree
from actorkube.runtime.log import add_cause
from actorkube.runtime.observers import Observers
from actorkube.runtime.otlp import otlp
from actorkube.runtime.tracing import NOT_FOLLOWED, because
from protocols.message import Message
from protocols.observe import ActorReport, Histogram, Inspect, Peers, SpanReport, SystemReport
from protocols.trace import TraceContext

ONE, OTHER = "1" * 32, "2" * 32


def span(number: int, parent: int = 0, *, trace: str = ONE, error: str = "", **notes: str) -> SpanReport:
    began = 1000.0 + number * 0.001
    return SpanReport(trace, number, parent, "b", "b/back", f"M{number}", began, began + 0.5, error, notes)


def report(handled: int, *, pid: int = 1, cpu_s: float = 0.0, handling: tuple[int, ...] = ()) -> SystemReport:
    histogram = Histogram(handling, 0.0)
    counts = {"Knock": handled}
    actors = tuple(
        ActorReport(name, "Shop", "running", 3, 1, counts, Histogram(), histogram, Histogram(), 2, 2, {"refused": 4})
        for name in ("shop", "observer")
    )
    return SystemReport("a", pid, 9.0, cpu_s, 2**20, 0, 0, 0, True, 0.0, 0, actors, (), {}, {})


# -- top --------------------------------------------------------------------------------------------------------------


def test_a_rate_is_what_was_handled_between_two_looks() -> None:
    before, now = {"a": report(100, handling=(9, 9))}, {"a": report(300, handling=(9, 9, 0, 0, 5))}

    (row,) = rows(before, now, 2.0)

    assert (row.actor, row.rate, row.mailbox, row.running, row.lost, row.restarts) == ("a/shop", 100.0, 3, 1, 4, 2)
    assert (row.handle_p50, row.handle_p99) == (16e-6, 16e-6)  # of the interval only


def test_who_is_new_or_was_started_again_counts_from_its_start() -> None:
    (new,) = rows({}, {"a": report(10)}, 2.0)
    (again,) = rows({"a": report(1000, handling=(5, 5))}, {"a": report(10, handling=(0, 1))}, 2.0)

    assert (new.rate, new.handled) == (5.0, 10)
    assert (again.rate, again.handle_p99) == (0.0, 2e-6)


def test_the_table_is_one_line_about_all_and_one_an_actor() -> None:
    lines = table({"a": report(0, cpu_s=1.0)}, {"a": report(50, cpu_s=1.5)}, 1.0, "rate")

    assert lines[0] == "1 system in 1 process, 1 actor   50 messages/s   CPU 50 %   memory 1 MiB"
    assert lines[2].split()[:2] == ["ACTOR", "MSG/S"]
    assert lines[3].split()[:3] == ["a/shop", "50.0", "3"]


def test_each_process_says_what_it_takes_the_largest_first() -> None:
    shared = {f"s{n}": replace(report(100, pid=1, cpu_s=2.0), memory_bytes=3 * 2**20) for n in range(6)}
    alone = replace(report(50, pid=2, cpu_s=1.5), memory_bytes=9 * 2**20)
    before = {name: replace(found, cpu_s=1.0) for name, found in {**shared, "b": alone}.items()}

    lines = process_table(before, {**shared, "b": alone}, 2.0)

    assert lines == [
        "PROCESS   CPU  MEMORY  MSG/S  ACTORS  SYSTEMS",
        "2        25 %   9 MiB    0.0       1  b",
        "1        50 %   3 MiB    0.0       6  s0, s1, s2, s3 and 2 more",
    ]


@pytest.mark.parametrize(
    ("words", "heads"),
    [
        ("", ["ACTOR", "PROCESS"]),
        ("--once", ["ACTOR", "PROCESS"]),
        ("--by actor", ["ACTOR"]),
        ("--by process", ["PROCESS"]),
    ],
)
def test_where_there_is_no_terminal_one_look_shows_both(
    words: str, heads: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    options = parser().parse_args(["top", "--interval", "1ms", *words.split()])

    asyncio.run(watch(OneSystem(), options))

    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert [line.split()[0] for line in printed.splitlines() if line.startswith(("ACTOR", "PROCESS"))] == heads


class OneSystem(Observers):
    """A cluster that is one report."""

    def __init__(self) -> None:
        async def ask(path: tuple[str, ...], request: Message) -> Message:
            return report(7) if isinstance(request, Inspect) else Peers("a", ())

        super().__init__(ask, "a")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0, "-"), (3e-7, "0.3 µs"), (64e-6, "64 µs"), (0.0021, "2.1 ms"), (12.3, "12.3 s")]
)
def test_a_duration_has_a_unit_that_fits(seconds: float, text: str) -> None:
    assert duration(seconds) == text


# -- trees ------------------------------------------------------------------------------------------------------------


def test_a_trace_is_a_tree_in_the_order_in_which_things_began() -> None:
    spans = [span(1), span(2, 1, object="pods default/web", revision="7"), span(3, 2, error="NotFound: no"), span(4, 1)]

    lines = tree(spans)

    assert [line.partition(" ms  ")[2].partition(" ms  ")[2] for line in lines] == [
        "b/back  M1",
        "  b/back  M2  pods default/web @7",
        "    b/back  M3  ! NotFound: no",
        "  b/back  M4",
    ]


def test_a_span_whose_parent_is_not_known_is_a_root() -> None:
    assert len(tree([span(5, 99), span(6, 5)])) == 2


def test_a_long_chain_is_cut() -> None:
    lines = tree([span(n, n - 1) for n in range(1, LINES_MAX + 11)])

    assert len(lines) == LINES_MAX + 1
    assert lines[-1] == "and 10 more"


def test_the_newest_traces_are_listed_with_what_began_them() -> None:
    lines = summaries([span(1), span(2, 1), replace_trace(span(3))], 20)

    assert [line.split()[:2] for line in lines] == [[ONE, "2"], [OTHER, "1"]]
    assert lines[0].endswith("b/back M1")
    assert len(summaries([span(1), replace_trace(span(3))], 1)) == 1


def replace_trace(found: SpanReport) -> SpanReport:
    return SpanReport(OTHER, *[getattr(found, name) for name in SpanReport.__struct_fields__[1:]])


# -- OpenTelemetry ----------------------------------------------------------------------------------------------------


def test_otlp_is_what_opentelemetry_itself_reads() -> None:
    """By the protobuf definitions of OTLP: no field that they do not know, each with the type that they say."""
    if importlib.util.find_spec("opentelemetry.proto") is None:
        assert not os.environ.get("ACTORKUBE_CI"), "opentelemetry-proto is not installed"
        pytest.skip("opentelemetry-proto is not installed: ./dev setup installs it")
    from google.protobuf import json_format
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

    document = json.loads(json.dumps(otlp([span(1), span(2, 1, error="Conflict: x", object="pods default/web")])))
    for each in document["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        for field in ("traceId", "spanId", "parentSpanId"):  # hexadecimal in OTLP, base64 in any other JSON of protobuf
            if field in each:
                each[field] = base64.b64encode(bytes.fromhex(each[field])).decode()

    read = json_format.ParseDict(document, ExportTraceServiceRequest())

    (resource,) = read.resource_spans
    first, second = resource.scope_spans[0].spans
    assert {each.key: each.value.string_value for each in resource.resource.attributes} == {
        "service.name": "b",
        "service.namespace": "actorkube",
    }
    assert (first.trace_id, len(first.span_id), first.parent_span_id) == (bytes.fromhex(ONE), 8, b"")
    assert second.parent_span_id == first.span_id
    assert (second.kind, second.status.code, second.status.message) == (
        Span.SPAN_KIND_CONSUMER,
        Status.STATUS_CODE_ERROR,
        "Conflict: x",
    )
    assert second.end_time_unix_nano - second.start_time_unix_nano == 500_000_000
    assert second.attributes[-1].value.string_value == "pods default/web"


def test_spans_are_read_back_from_otlp() -> None:
    document = json.loads(json.dumps(otlp([span(1), span(2, 1, error="Conflict: x", object="pods default/web")])))

    (resource,) = document["resourceSpans"]
    attributes = {each["key"]: each["value"]["stringValue"] for each in resource["resource"]["attributes"]}
    first, second = resource["scopeSpans"][0]["spans"]
    assert attributes["service.name"] == "b"
    assert bytes.fromhex(first["traceId"]) == bytes.fromhex(ONE)
    assert "parentSpanId" not in first
    assert second["parentSpanId"] == first["spanId"] == "0000000000000001"
    assert int(second["startTimeUnixNano"]) == 1_000_002_000_000
    assert int(second["endTimeUnixNano"]) - int(second["startTimeUnixNano"]) == 500_000_000
    assert second["status"] == {"code": 2, "message": "Conflict: x"}
    assert {"key": "actorkube.object", "value": {"stringValue": "pods default/web"}} in second["attributes"]


# -- logs -------------------------------------------------------------------------------------------------------------


def test_a_line_says_which_trace_it_belongs_to_if_any() -> None:
    with because(TraceContext(b"\x11" * 16, 3)):
        followed = add_cause(None, "info", {"event": "x"})
    with because(NOT_FOLLOWED):
        unfollowed = add_cause(None, "info", {"event": "x"})

    assert followed == {"event": "x", "trace_id": "11" * 16, "span_id": "0000000000000003"}
    assert unfollowed == add_cause(None, "info", {"event": "x"}) == {"event": "x"}


# -- the command line -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "share"), [([], 0.0), (["--trace"], 1.0), (["--trace", "0.25"], 0.25), (["--trace", "1"], 1.0)]
)
def test_a_cluster_is_followed_by_the_share_that_is_asked_for(words: list[str], share: float) -> None:
    assert parser().parse_args(["cluster", *words]).trace == share


@pytest.mark.parametrize("words", [["--trace", "2"], ["--trace", "-1"], ["--trace", "nan"], ["--trace", "some"]])
def test_what_is_no_share_is_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["cluster", *words])
