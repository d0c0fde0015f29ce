"""Events and attempts (partitioned by month), endpoints, and the queue of deliveries."""

import django.contrib.postgres.fields
import django.db.models.manager
from django.db import migrations, models

import stackbe.kernel.clock
import stackbe.kernel.ids

OPTIONS = {"abstract": False, "base_manager_name": "unscoped", "default_manager_name": "unscoped"}


def owned():
    """Return the columns of every row that an app owns."""
    return [
        (
            "id",
            models.UUIDField(
                default=stackbe.kernel.ids.new_id, editable=False, primary_key=True, serialize=False
            ),
        ),
        ("tenant_id", models.UUIDField(editable=False)),
        ("app_id", models.UUIDField(editable=False)),
    ]


def moment(**options):
    """Return a time that is set when the row is made."""
    return models.DateTimeField(default=stackbe.kernel.clock.wall_clock, **options)


EVENT = migrations.CreateModel(
    name="Event",
    fields=[
        *owned(),
        ("type", models.CharField(max_length=80)),
        ("subject_id", models.UUIDField(null=True)),
        ("body", models.BinaryField()),
        ("created_at", moment()),
        ("fanned_out_at", models.DateTimeField(null=True)),
    ],
    options={
        **OPTIONS,
        "indexes": [
            models.Index(fields=["app_id", "-id"], name="event_newest"),
            models.Index(fields=["app_id", "subject_id", "-id"], name="event_of_subject"),
            models.Index(
                fields=["id"],
                condition=models.Q(fanned_out_at__isnull=True),
                name="event_to_fan_out",
            ),
        ],
    },
    managers=[("unscoped", django.db.models.manager.Manager())],
)
EVENT_TABLE = """
create table webhooks_event (
  id uuid not null primary key,
  tenant_id uuid not null,
  app_id uuid not null,
  type varchar(80) not null,
  subject_id uuid,
  body bytea not null,
  created_at timestamptz not null,
  fanned_out_at timestamptz
) partition by range (id);
create index event_newest on webhooks_event (app_id, id desc);
create index event_of_subject on webhooks_event (app_id, subject_id, id desc);
create index event_to_fan_out on webhooks_event (id) where fanned_out_at is null;
"""

ATTEMPT = migrations.CreateModel(
    name="Attempt",
    fields=[
        *owned(),
        ("delivery_id", models.UUIDField()),
        ("subject_id", models.UUIDField(null=True)),
        ("number", models.PositiveSmallIntegerField()),
        ("response_status", models.PositiveSmallIntegerField(null=True)),
        ("duration_ms", models.PositiveIntegerField()),
        ("error", models.CharField(blank=True, max_length=40)),
        ("answer", models.BinaryField(null=True)),
        ("attempted_at", moment()),
    ],
    options={
        **OPTIONS,
        "indexes": [models.Index(fields=["delivery_id", "-id"], name="attempt_of_delivery")],
    },
    managers=[("unscoped", django.db.models.manager.Manager())],
)
ATTEMPT_TABLE = """
create table webhooks_attempt (
  id uuid not null primary key,
  tenant_id uuid not null,
  app_id uuid not null,
  delivery_id uuid not null,
  subject_id uuid,
  number smallint not null check (number >= 0),
  response_status smallint check (response_status >= 0),
  duration_ms integer not null check (duration_ms >= 0),
  error varchar(40) not null,
  answer bytea,
  attempted_at timestamptz not null
) partition by range (id);
create index attempt_of_delivery on webhooks_attempt (delivery_id, id desc);
"""


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="WebhookEndpoint",
            fields=[
                *owned(),
                ("url", models.BinaryField()),
                ("secret", models.BinaryField()),
                ("previous_secret", models.BinaryField(null=True)),
                ("previous_secret_until", models.DateTimeField(null=True)),
                (
                    "events",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=80), size=None
                    ),
                ),
                ("description", models.CharField(blank=True, max_length=255)),
                ("live", models.BooleanField()),
                ("enabled", models.BooleanField(default=True)),
                (
                    "disabled_reason",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("", "None"),
                            ("by_request", "By Request"),
                            ("gone", "Gone"),
                            ("failing", "Failing"),
                        ],
                        max_length=12,
                    ),
                ),
                ("failing_since", models.DateTimeField(null=True)),
                ("created_at", moment()),
                ("updated_at", moment()),
                ("deleted_at", models.DateTimeField(null=True)),
            ],
            options={
                **OPTIONS,
                "indexes": [models.Index(fields=["app_id", "-id"], name="endpoint_newest")],
            },
            managers=[("unscoped", django.db.models.manager.Manager())],
        ),
        migrations.CreateModel(
            name="Delivery",
            fields=[
                *owned(),
                ("event_id", models.UUIDField()),
                ("endpoint_id", models.UUIDField()),
                ("event_type", models.CharField(max_length=80)),
                ("subject_id", models.UUIDField(null=True)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("pending", "Pending"),
                            ("delivered", "Delivered"),
                            ("failed", "Failed"),
                            ("canceled", "Canceled"),
                        ],
                        default="pending",
                        max_length=10,
                    ),
                ),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("due_at", moment()),
                ("lease", models.UUIDField(null=True)),
                ("response_status", models.PositiveSmallIntegerField(null=True)),
                ("duration_ms", models.PositiveIntegerField(null=True)),
                ("error", models.CharField(blank=True, max_length=40)),
                ("created_at", moment()),
                ("finished_at", models.DateTimeField(null=True)),
            ],
            options={
                **OPTIONS,
                "indexes": [
                    models.Index(
                        fields=["endpoint_id", "due_at"],
                        condition=models.Q(status="pending"),
                        name="delivery_due",
                    ),
                    models.Index(fields=["endpoint_id", "-id"], name="delivery_newest"),
                    models.Index(fields=["app_id", "event_id"], name="delivery_of_event"),
                ],
            },
            managers=[("unscoped", django.db.models.manager.Manager())],
        ),
        migrations.SeparateDatabaseAndState(
            state_operations=[EVENT],
            database_operations=[migrations.RunSQL(EVENT_TABLE, "drop table webhooks_event")],
        ),
        migrations.SeparateDatabaseAndState(
            state_operations=[ATTEMPT],
            database_operations=[migrations.RunSQL(ATTEMPT_TABLE, "drop table webhooks_attempt")],
        ),
    ]
