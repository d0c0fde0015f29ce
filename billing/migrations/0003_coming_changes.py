"""What a subscription becomes with its next period, or once a payment is made."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0002_walls")]

    operations = [
        migrations.AddField("subscription", "next_plan_id", models.UUIDField(null=True)),
        migrations.AddField("subscription", "next_quantity", models.PositiveIntegerField(null=True)),
        migrations.AddField("subscription", "next_at", models.DateTimeField(null=True)),
        migrations.AddField(
            "subscription", "next_awaits", models.CharField(blank=True, db_default="", default="", max_length=10)
        ),
    ]
