"""Stories of a few members, word for word."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.etcd.transcript import TRANSCRIPTS, retold


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_the_story_goes_as_it_is_written(path: Path) -> None:
    text = path.read_text()

    assert retold(text) == text
