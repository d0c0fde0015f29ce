"""When a customer is to be told of a trial's end or a payment that is due, and what took access away."""

from django.db import migrations, models

from stackbe.kernel.walls import LookupFunction

REMINDERS = """
  select s.tenant_id, s.app_id, s.id, a.environment::text, a.clock_offset_ms
  from billing_subscription s join accounts_app a on a.id = s.app_id
  where s.remind_at is not null
    and s.remind_at <= $1 + a.clock_offset_ms * interval '1 millisecond'
    and a.archived_at is null
  order by s.remind_at limit $2
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0004_recovered_events")]

    operations = [
        migrations.AddField("subscription", "remind_at", models.DateTimeField(null=True)),
        migrations.AddField("subscription", "trial_told_end", models.DateTimeField(null=True)),
        migrations.AddField("subscription", "dunned", models.PositiveSmallIntegerField(db_default=0, default=0)),
        migrations.AddField("subscription", "revoked_at", models.DateTimeField(null=True)),
        migrations.AddIndex(
            "subscription",
            models.Index(
                fields=["remind_at"],
                condition=models.Q(remind_at__isnull=False),
                name="subscription_to_remind",
            ),
        ),
        migrations.RunSQL(
            "create policy lookup_reads on billing_subscription for select to stackbe_lookup using (true);"
            "grant select (tenant_id, app_id, id, remind_at) on billing_subscription to stackbe_lookup;",
            "drop policy lookup_reads on billing_subscription;",
        ),
        LookupFunction(
            "reminders_due(moment timestamptz, most integer)",
            "table (tenant_id uuid, app_id uuid, subscription_id uuid, environment text, clock_offset_ms bigint)",
            REMINDERS,
        ),
    ]
