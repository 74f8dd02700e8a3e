"""Where pods would go, as a picture: a line for each node, a bar for each resource. SVG, without anything to load."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

from actors.scheduler.explain.whatif import Load, Outcome, Use
from actors.scheduler.explain.whatif_text import resources, share

_NAME, _BAR, _TEXT, _LINE, _GAP = 180, 220, 90, 20, 16
_COLORS = {"free": "#e8e8e8", "before": "#7a8ba0", "added": "#2f9e63"}


def svg(outcome: Outcome) -> str:
    names = resources(outcome)
    width = _NAME + len(names) * (_BAR + _TEXT + _GAP)
    height = _LINE * (len(outcome.nodes) + 4)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif"'
    body = [_text(0, 1, f"{len(outcome.placed)} pods placed, {len(outcome.unplaced)} not")]
    body += [_text(_left(column), 2, name) for column, name in enumerate(names)]
    for line, load in enumerate((outcome.total, *outcome.nodes), 3):
        body += _node(line, load, names)
    return "\n".join([f'{head} font-size="12">', *body, "</svg>", ""])


def _left(column: int) -> int:
    return _NAME + column * (_BAR + _TEXT + _GAP)


def _text(x: int, line: int, text: str) -> str:
    return f'<text x="{x}" y="{line * _LINE - 5}">{escape(text)}</text>'


def _node(line: int, load: Load, names: Sequence[str]) -> Iterator[str]:
    yield _text(0, line, load.node)
    for column, name in enumerate(names):
        use = load.resources.get(name, Use(0, 0, 0))
        before, after = (
            _BAR * min(1.0, taken / use.capacity) if use.capacity else 0 for taken in (use.before, use.after)
        )
        yield _bar(_left(column), line, _BAR, "free")
        yield _bar(_left(column), line, after, "added")
        yield _bar(_left(column), line, min(before, after), "before")
        yield _text(_left(column) + _BAR + 6, line, share(use))


def _bar(x: int, line: int, width: float, what: str) -> str:
    y = (line - 1) * _LINE + 4
    return f'<rect x="{x}" y="{y}" width="{width:.1f}" height="{_LINE - 6}" fill="{_COLORS[what]}"/>'
