"""Features: the keys that plans may grant, and the check of a plan against them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction
from django.db.models import Q

from billing.errors import FeatureExists, FeatureInUse, FeatureNotFound
from billing.metrics import resets_by_metric
from billing.models import Feature, Plan, PlanVersion
from billing.services import access
from stackbe.kernel import ids
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import now
from stackbe.kernel.errors import ValidationFailed
from stackbe.kernel.serializers import BIGGEST
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import require_change

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from stackbe.kernel.scope import Scope
    from stackbe.kernel.tenancy import ScopedQuerySet

LIST_LENGTH = 100
STRING_LENGTH = 255
NAMED = 20
KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:\-]{0,63}")


def live_features(scope: Scope) -> ScopedQuerySet[Feature]:
    """Return the app's features without archived ones."""
    return Feature.objects.within(scope).filter(archived_at__isnull=True)


def find_feature(scope: Scope, key: str) -> Feature:
    """Return the feature of that key, or of that id; raise `FeatureNotFound`."""
    found = live_features(scope).filter(key=key).first() if KEY.fullmatch(key) else None
    if found is not None:
        return found
    try:
        return live_features(scope).get(pk=ids.decode(Feature.id_prefix, key))
    except (ids.MalformedId, Feature.DoesNotExist):
        raise FeatureNotFound from None


def create_feature(scope: Scope, *, key: str, type: str, name: str = "", metric: str | None = None) -> Feature:  # noqa: A002  # the API's word
    """Let plans grant a key. A metered one names the metric that counts it.

    Raises `FeatureExists` for a key that is taken.
    """
    require_change()
    refuse_unknown_metric(scope, type, metric)
    moment = now(scope)
    feature = Feature(
        **owned_by(scope),
        key=key,
        name=name or key.replace("_", " ").capitalize(),
        type=type,
        metric=metric or "",
        created_at=moment,
        updated_at=moment,
    )
    try:
        with transaction.atomic():
            feature.save(force_insert=True)
    except IntegrityError:
        raise FeatureExists from None
    audit(scope, "feature.created", feature.public_id, detail={"key": key, "type": type})
    _refresh_counted(scope, feature)
    return feature


def update_feature(scope: Scope, key: str, **changes: Any) -> Feature:
    """Rename a feature or change what counts it. Its key and type stay: plans were checked by them."""
    require_change()
    feature = find_feature(scope, key)
    if "metric" in changes:
        changes["metric"] = changes["metric"] or ""
        refuse_unknown_metric(scope, feature.type, changes["metric"])
    changed = {name: value for name, value in changes.items() if getattr(feature, name) != value}
    if not changed:
        return feature
    for name, value in changed.items():
        setattr(feature, name, value)
    feature.updated_at = now(scope)
    feature.save(update_fields=[*changed, "updated_at"])
    audit(scope, "feature.updated", feature.public_id, detail=changed)
    if "metric" in changed:
        access.refresh_app(scope)
    return feature


def archive_feature(scope: Scope, key: str) -> None:
    """Take a key out of use. Raises `FeatureInUse` while an active plan grants it."""
    require_change()
    feature = find_feature(scope, key)
    plans = Plan.objects.within(scope).filter(active=True).values("id")
    users = PlanVersion.objects.within(scope).filter(plan_id__in=plans, entitlements__has_key=feature.key)
    names = sorted({version.plan.name for version in users.select_related("plan") if _newest(version)})
    if names:
        raise FeatureInUse(f"Plans grant this feature: {', '.join(names[:NAMED])}. Take it out of them first.")
    feature.archived_at = now(scope)
    feature.save(update_fields=["archived_at"])
    audit(scope, "feature.archived", feature.public_id, detail={"key": feature.key})
    _refresh_counted(scope, feature)


def refuse_unknown_metric(scope: Scope, type: str, metric: str | None) -> None:  # noqa: A002  # likewise
    """Raise where a metric is named that the app lacks, or that a feature of that type cannot have."""
    if not metric:
        return
    if type != Feature.Type.METERED:
        raise ValidationFailed(fields={"metric": ["Only metered features have a metric."]})
    known = resets_by_metric(scope)
    if metric not in known:
        raise ValidationFailed(fields={"metric": [unknown_sentence("metric", metric, known)]})


def refuse_unfit_entitlements(scope: Scope, entitlements: Mapping[str, Any]) -> None:
    """Raise for a key that no feature has, naming those there are, and for a value of another type."""
    features = {feature.key: feature for feature in live_features(scope)}
    wrong: dict[str, list[str]] = {}
    for key, value in entitlements.items():
        feature = features.get(key)
        if feature is None:
            wrong[f"entitlements.{key}"] = [unknown_sentence("feature", key, features)]
        elif (sentence := unfit(feature.type, value)) is not None:
            wrong[f"entitlements.{key}"] = [sentence]
    if wrong:
        raise ValidationFailed(fields=wrong)


def unfit(type: str, value: Any) -> str | None:  # noqa: A002  # likewise
    """Return what is wrong with a feature's value, None where nothing is.

    null stands for "without limit" where a number is wanted.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= BIGGEST
    items = value if isinstance(value, list) else []
    fits = {
        Feature.Type.BOOLEAN: isinstance(value, bool),
        Feature.Type.NUMBER: number or value is None,
        Feature.Type.STRING: isinstance(value, str) and len(value) <= STRING_LENGTH,
        Feature.Type.LIST: isinstance(value, list)
        and len(items) <= LIST_LENGTH
        and all(isinstance(item, str) and len(item) <= STRING_LENGTH for item in items),
        Feature.Type.METERED: value is None or (number and isinstance(value, int) and value >= 0),
    }
    sentences = {
        Feature.Type.BOOLEAN: "Must be true or false.",
        Feature.Type.NUMBER: "Must be a number within ±(2^53 - 1), or null for no limit.",
        Feature.Type.STRING: f"Must be a string of at most {STRING_LENGTH} characters.",
        Feature.Type.LIST: f"Must be a list of at most {LIST_LENGTH} strings.",
        Feature.Type.METERED: "Must be a whole number from 0 to 2^53 - 1, or null for no limit.",
    }
    return None if fits[Feature.Type(type)] else sentences[Feature.Type(type)]


def unknown_sentence(noun: str, name: str, known: Iterable[str]) -> str:
    """Return the sentence for a name that the app lacks: a typo shows beside what there is."""
    names = sorted(known)
    if not names:
        return f"Unknown {noun} {name}. This app has no {noun}s yet: define it with POST /v1/{noun}s first."
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"Unknown {noun} {name}. Known: {', '.join(names[:NAMED])}{more}."


def _refresh_counted(scope: Scope, feature: Feature) -> None:
    """Work access out anew where a feature that came or went is another spelling of what a plan allows."""
    if not feature.metric:
        return
    spellings = Feature.objects.within(scope).filter(metric=feature.metric).values_list("key", flat=True)
    allows = Q(usage__contains=[{"metric": feature.metric}]) | Q(entitlements__has_any_keys=list(spellings))
    if PlanVersion.objects.within(scope).filter(allows).exists():
        access.refresh_app(scope)


def _newest(version: PlanVersion) -> bool:
    return version.number == version.plan.version
