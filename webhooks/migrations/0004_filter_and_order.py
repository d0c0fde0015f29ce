"""Endpoints filter by what an event says, may ask for order, and know since when they are off."""

from django.db import migrations, models


def index_due(condition):
    """Return the lanes of what may be sent in any order."""
    return models.Index(fields=["endpoint_id", "due_at"], condition=condition, name="delivery_due")


class Migration(migrations.Migration):
    dependencies = [("webhooks", "0003_find_by_subject")]

    operations = [
        migrations.AddField("webhookendpoint", "filter", models.BinaryField(null=True)),
        migrations.AddField("webhookendpoint", "ordered", models.BooleanField(default=False, db_default=False)),
        migrations.AddField("webhookendpoint", "disabled_at", models.DateTimeField(null=True)),
        migrations.AddField("delivery", "ordered", models.BooleanField(default=False, db_default=False)),
        migrations.RemoveIndex("delivery", "delivery_due"),
        migrations.AddIndex("delivery", index_due(models.Q(ordered=False, status="pending"))),
        migrations.AddIndex(
            "delivery",
            models.Index(
                fields=["endpoint_id", "event_id", "id"],
                condition=models.Q(ordered=True, status="pending"),
                name="delivery_in_order",
            ),
        ),
    ]
