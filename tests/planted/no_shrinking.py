"""A pytest plugin for runs that are to fail: Hypothesis shrinks no example and keeps none."""

from __future__ import annotations

from hypothesis import Phase, settings

settings.register_profile("planted", database=None, phases=(Phase.explicit, Phase.generate))
settings.load_profile("planted")
