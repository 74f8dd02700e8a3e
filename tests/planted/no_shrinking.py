"""A pytest plugin for runs that are to fail: Hypothesis takes the same examples each time, and shrinks none."""

from __future__ import annotations

from hypothesis import Phase, settings

settings.register_profile("planted", database=None, derandomize=True, phases=(Phase.explicit, Phase.generate))
settings.load_profile("planted")
