"""When a customer is to be told something about their subscription, by the app's settings."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from accounts.app_settings import AppSettings
from accounts.models import App
from billing.models import Subscription

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope

TRIALING, PAST_DUE = Subscription.Status.TRIALING, Subscription.Status.PAST_DUE
# Where a subscription stands when there may be something to tell.
REMINDED = frozenset({TRIALING, PAST_DUE})


def settings_of(scope: Scope) -> AppSettings:
    """Return the app's settings."""
    return AppSettings.of(App.objects.within(scope).only("settings").get(pk=scope.app).settings)


def next_reminder(row: Subscription, settings: AppSettings) -> datetime | None:
    """Return when the customer of a subscription is to be told something, None for not at all."""
    if row.status == TRIALING and row.trial_end is not None and row.trial_told_end != row.trial_end:
        return row.trial_end - timedelta(days=settings.trial_ending_days)
    if row.status == PAST_DUE and row.past_due_since is not None and row.dunned < len(settings.dunning_days):
        return row.past_due_since + timedelta(days=settings.dunning_days[row.dunned])
    return None
