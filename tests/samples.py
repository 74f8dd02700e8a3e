"""What Prometheus would read, as a dict."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

Samples = dict[tuple[str, ...], float]


def samples(text: bytes, *labels: str) -> Samples:
    """(name of the sample, the values of these labels) -> value; of those samples that have all of these labels."""
    return {
        (sample.name, *(sample.labels[label] for label in labels)): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
        if set(labels) == set(sample.labels)
    }
