"""Define what an app counts."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F, Q

from billing.models import PlanVersion
from billing.services.access import refresh_app
from billing.services.catalogue import lock_catalogue
from billing.services.features import NAMED, live_features
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import now
from stackbe.kernel.errors import Conflict
from stackbe.kernel.scope import Scope
from stackbe.kernel.tenancy import ScopedQuerySet, owned_by
from stackbe.kernel.transactions import require_change
from usage.errors import MetricInUse, MetricNotFound
from usage.models import Counter, Credit, Metric, usual_thresholds


def live_metrics(scope: Scope) -> ScopedQuerySet[Metric]:
    """Return the metrics that still count."""
    return Metric.objects.within(scope).filter(archived_at=None)


def metric_named(scope: Scope, name: str) -> Metric:
    """Return a live metric by its name, or raise `MetricNotFound`."""
    metric = live_metrics(scope).filter(name=name).first()
    if metric is None:
        raise MetricNotFound
    return metric


def create_metric(
    scope: Scope, *, name: str, aggregation: str, unit: str, resets: str, thresholds: list[int] | None = None
) -> Metric:
    """Define a metric. A name is used once per app, archived ones included: old counts carry it.

    `thresholds` are the percents of a limit at which the app is told: 80 and 100 unless it chooses others.
    """
    require_change()
    metric = Metric(
        **owned_by(scope),
        name=name,
        aggregation=aggregation,
        unit=unit,
        resets=resets,
        thresholds=usual_thresholds() if thresholds is None else thresholds,
        created_at=now(scope),
    )
    try:
        with transaction.atomic():
            metric.save(force_insert=True)
    except IntegrityError:
        raise Conflict(f"A metric named {name} exists already, perhaps archived.") from None
    audit(scope, "metric.created", metric.public_id, detail={"name": name})
    return metric


def restore_metric(scope: Scope, name: str) -> Metric | None:
    """Let an archived metric count again, with all that it counted; None where none has that name."""
    require_change()
    metric = Metric.objects.within(scope).locked().filter(name=name, archived_at__isnull=False).first()
    if metric is None:
        return None
    metric.archived_at = None
    metric.save(update_fields=["archived_at"])
    audit(scope, "metric.restored", metric.public_id, detail={"name": name})
    return metric


def update_metric(scope: Scope, metric_id: str, changes: dict[str, Any]) -> Metric:
    """Change a metric's unit and thresholds, or how it counts while nothing was counted on it yet."""
    require_change()
    metric = live_metrics(scope).locked().fetch(metric_id, MetricNotFound)
    counting = {"aggregation", "resets"} & {
        field for field, value in changes.items() if getattr(metric, field) != value
    }
    if counting and any(model.objects.within(scope).filter(metric=metric).exists() for model in (Counter, Credit)):
        raise Conflict("Usage or credits stand on this metric; how it counts cannot change. Make a new one.")
    for field, value in changes.items():
        setattr(metric, field, value)
    metric.save(update_fields=list(changes))
    audit(scope, "metric.updated", metric.public_id, detail={"fields": sorted(changes)})
    if "resets" in counting:
        refresh_app(scope)
    return metric


def archive_metric(scope: Scope, metric_id: str) -> None:
    """Stop counting. What was counted stays.

    Raises `MetricInUse` while an active plan allows so much of it, or a feature is counted by it.
    """
    require_change()
    lock_catalogue(scope)
    metric = live_metrics(scope).locked().fetch(metric_id, MetricNotFound)
    versions = PlanVersion.objects.within(scope).filter(plan__active=True, number=F("plan__version"))
    counted = [{"metric": metric.name}]
    plans = versions.filter(Q(usage__contains=counted) | Q(credits__contains=counted)).order_by("plan__name")
    features = live_features(scope).filter(metric=metric.name).order_by("key")
    users = [*plans.values_list("plan__name", flat=True), *features.values_list("key", flat=True)]
    if users:
        raise MetricInUse(
            f"Plans or features count by this metric: {', '.join(users[:NAMED])}. Take it out of them first."
        )
    metric.archived_at = now(scope)
    metric.save(update_fields=["archived_at"])
    audit(scope, "metric.archived", metric.public_id, detail={"name": metric.name})
