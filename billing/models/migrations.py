"""Bringing subscribers of an older version of a plan to its newest one."""

from __future__ import annotations

from django.db import models

from billing.models.catalogue import Plan
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.tenancy import AppOwned


class PlanMigration(AppOwned):
    """One run that brings a plan's subscribers to the version that was newest when it was started.

    It goes through them in the order of their ids. `cursor` is the last one that is done, `in_hand` the one that
    Stripe may have been asked about: so a run that was cut off goes on where it was. `price_ids` are the prices that
    were previewed; should the plan be edited meanwhile, the run stops rather than charge what nobody looked at.
    `refusals` holds `{subscription, why}` for those that stay where they are, the first of them.
    """

    class State(models.TextChoices):
        RUNNING = "running"
        DONE = "done"
        STOPPED = "stopped"

    class When(models.TextChoices):
        NOW = "now"
        PERIOD_END = "period_end"

    id_prefix = "mig"

    plan = models.ForeignKey(Plan, models.PROTECT, related_name="+", db_constraint=False)
    from_version = models.PositiveIntegerField(null=True)
    to_version = models.PositiveIntegerField()
    price_ids = models.JSONField(default=list)
    when = models.CharField(max_length=10, choices=When, default=When.PERIOD_END)
    prorate = models.BooleanField(default=True)
    state = models.CharField(max_length=7, choices=State, default=State.RUNNING)
    subscribers = models.PositiveIntegerField(default=0)
    moved = models.PositiveIntegerField(default=0)
    scheduled = models.PositiveIntegerField(default=0)
    refused = models.PositiveIntegerField(default=0)
    refusals = models.JSONField(default=list)
    cursor = models.UUIDField(null=True)
    in_hand = models.UUIDField(null=True)
    started_by = models.CharField(max_length=80)
    created_at = models.DateTimeField(default=wall_clock)
    finished_at = models.DateTimeField(null=True)

    class Meta(AppOwned.Meta):
        constraints = (
            models.UniqueConstraint(
                fields=["app_id", "plan"],
                condition=models.Q(state="running"),
                name="one_running_migration_per_plan",
            ),
        )
        indexes = (models.Index(fields=["plan", "-id"], name="migration_of_plan"),)
