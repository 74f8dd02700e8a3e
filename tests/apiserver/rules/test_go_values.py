"""How two values differ, as Go's messages show it; answers of a real server are in `updated.txt`."""

from actors.apiserver.rules.go_values import LINES_MAX, difference

CLAIM = "core.v1.PersistentVolumeClaimSpec"


def test_what_differs_is_shown_with_what_is_around_it() -> None:
    shown = difference(CLAIM, {"accessModes": ["ReadWriteOnce"]}, {"accessModes": ["ReadWriteMany"]})

    assert '-  "ReadWriteOnce"\n' in shown
    assert '+  "ReadWriteMany"\n' in shown


def test_what_would_take_long_to_find_is_not_looked_for() -> None:
    modes = [str(number) for number in range(LINES_MAX)]

    assert difference(CLAIM, {"accessModes": modes}, {"accessModes": modes[::-1]}) == ""
