"""A purchase ends in credits once."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("usage", "0010_anchored_periods")]

    operations = [
        migrations.AddField("credit", "checkout_id", models.UUIDField(null=True)),
        migrations.AddConstraint(
            "credit",
            models.UniqueConstraint(
                fields=["checkout_id", "metric"],
                condition=models.Q(checkout_id__isnull=False),
                name="one_credit_per_purchase_and_metric",
            ),
        ),
    ]
