"""Why a text is no time, in the words of Go's `time.Parse`: it reads piece by piece, up to the first misfit."""

from __future__ import annotations

import re

LAYOUTS = {"date-time": "2006-01-02T15:04:05Z07:00", "micro-time": "2006-01-02T15:04:05.000000Z07:00"}
_FORMS = {
    "2006": re.compile(r"\d{4}", re.ASCII),
    "15": re.compile(r"\d{1,2}", re.ASCII),
    ".000000": re.compile(r"[.,]\d{6}", re.ASCII),
    "": re.compile(r"([.,]\d+)?", re.ASCII),  # a fraction that the layout does not have
    "Z07:00": re.compile(r"Z|[+-]\d\d:\d\d", re.ASCII),
    **dict.fromkeys(("01", "02", "04", "05"), re.compile(r"\d\d", re.ASCII)),
    **{letter: re.compile(letter) for letter in "-T:"},
}
_PIECES = ("2006", "-", "01", "-", "02", "T", "15", ":", "04", ":", "05")
_RANGES = {"01": ("month", 1, 12), "15": ("hour", 0, 23), "04": ("minute", 0, 59), "05": ("second", 0, 59)}


def time_problem(text: str, format: str) -> str:
    """Of a text that is no time; `format` is that of the field in the schema."""
    rest = text
    for piece in (*_PIECES, ".000000" if format == "micro-time" else "", "Z07:00"):
        read = _FORMS[piece].match(rest)
        if read is None:
            return f'parsing time "{text}" as "{LAYOUTS[format]}": cannot parse "{rest}" as "{piece}"'
        what, low, high = _RANGES.get(piece, ("", 0, 0))
        if what and not low <= int(read[0]) <= high:
            return f'parsing time "{text}": {what} out of range'
        rest = rest[read.end() :]
    return f'parsing time "{text}": ' + (f'extra text: "{rest}"' if rest else "day out of range")
