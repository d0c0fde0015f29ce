"""Row-level security and partitions of events and deliveries.

The dispatcher sees which events and deliveries wait in all tenants. Endpoints (URLs, secrets) and
attempts it sees only once it has entered the tenant.
"""

from django.db import migrations

from stackbe.kernel.walls import MonthlyPartitions, TenantWall


class Migration(migrations.Migration):
    dependencies = [
        ("webhooks", "0001_initial"),
        ("accounts", "0002_walls"),
        ("kernel", "0002_walls"),
    ]

    operations = [
        TenantWall("webhooks_webhookendpoint", app_key=True),
        TenantWall("webhooks_event", app_key=True, queue=True),
        TenantWall("webhooks_delivery", app_key=True, queue=True),
        TenantWall("webhooks_attempt", app_key=True),
        MonthlyPartitions("webhooks_event"),
        MonthlyPartitions("webhooks_attempt"),
    ]
