"""What a strict decoder says: of fields that nobody knows, and of those that a document names twice, in its order."""

from __future__ import annotations

from collections.abc import Sequence

_YAML_HEAD = "yaml: unmarshal errors:\n  "
_UNKNOWN = "unknown field "


def with_repeated(sentences: Sequence[str], repeated: Sequence[str], *, patched: bool = False) -> list[str]:
    """As Kubernetes' decoders come upon them: that of YAML looks for what is said twice before it looks at fields, and
    so it is with patches; that of JSON when it has a field's place, which it has not for one that nobody knows."""
    if patched or not repeated or not repeated[0].startswith("duplicate field "):
        return [*repeated, *sentences]
    known = [sentence for sentence in repeated if sentence.replace("duplicate", "unknown", 1) not in sentences]
    fields = [sentence for sentence in sentences if sentence.startswith(_UNKNOWN)]
    return [*fields, *known, *sentences[len(fields) :]]


def strict_problem(sentences: Sequence[str]) -> str:
    """The sentences as a decoder of this form puts them together."""
    lines = [sentence for sentence in sentences if sentence.startswith("line ")]
    head = [_YAML_HEAD + "\n  ".join(lines)] if lines else []
    return ", ".join([*head, *sentences[len(lines) :]])
