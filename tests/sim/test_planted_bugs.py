"""The list of planted bugs stays true: each can still be planted."""

from __future__ import annotations

import pytest

from tests.etcd.bug import ROOT, Bug
from tests.sim.planted_bugs import BUGS


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_every_planted_bug_has_its_place(bug: Bug) -> None:
    text = (ROOT / bug.file).read_text()

    assert text.count(bug.right) == 1
    assert bug.right != bug.wrong
    compile(text.replace(bug.right, bug.wrong), bug.file, "exec")  # else anything finds it
    assert all((ROOT / "tests/sim" / f"{name}.py").exists() for name in bug.found_by)
