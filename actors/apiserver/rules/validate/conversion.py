"""How the objects of a CustomResourceDefinition change their version."""

from __future__ import annotations

from typing import Any

from actors.apiserver.custom.conversion import REVIEW_VERSIONS
from actors.apiserver.rules import names
from actors.apiserver.rules.field import FieldErrors, forbidden, invalid_value, one_of, required
from actors.apiserver.rules.validate.admission import client_config

_UNSET = "should not be set when strategy is not set to Webhook"


def conversion(spec: dict[str, Any]) -> FieldErrors:
    """The paths in errors are those of Kubernetes' internal type, as it gives them."""
    said: dict[str, Any] = spec.get("conversion") or {}
    strategy, webhook = said.get("strategy"), said.get("webhook")
    at = "spec.conversion"
    yield from one_of(f"{at}.strategy", strategy, ("None", "Webhook"))
    if strategy == "Webhook":
        config = (webhook or {}).get("clientConfig")
        if config is None:
            yield required(f"{at}.webhookClientConfig", "required when strategy is set to Webhook")
        else:
            yield from client_config(f"{at}.webhookClientConfig", config)
        yield from _review_versions(f"{at}.conversionReviewVersions", (webhook or {}).get("conversionReviewVersions"))
    elif webhook is not None:
        for key, place in (("clientConfig", "webhookClientConfig"), ("conversionReviewVersions",) * 2):
            if webhook.get(key):
                yield forbidden(f"{at}.{place}", _UNSET)


def _review_versions(at: str, versions: list[str] | None) -> FieldErrors:
    if not versions:
        yield required(at)
        return
    for index, version in enumerate(versions):
        if version in versions[:index]:
            yield invalid_value(f"{at}[{index}]", version, "duplicate version")
            continue
        for problem in names.dns_1035_label(version):
            yield invalid_value(f"{at}[{index}]", version, problem)
    if not set(versions) & {*REVIEW_VERSIONS}:
        yield invalid_value(at, versions, f"must include at least one of {', '.join(REVIEW_VERSIONS)}")
