"""Values granted to a subscription: to whoever it serves, for as long as it counts."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0010_revenue")]

    operations = [
        migrations.RemoveConstraint("entitlementoverride", "one_override_per_feature"),
        migrations.AddField("entitlementoverride", "subscription_id", models.UUIDField(null=True)),
        migrations.AddConstraint(
            "entitlementoverride",
            models.UniqueConstraint(
                fields=["app_id", "customer", "feature"],
                condition=models.Q(subscription_id__isnull=True),
                name="one_override_per_feature",
            ),
        ),
        migrations.AddConstraint(
            "entitlementoverride",
            models.UniqueConstraint(
                fields=["app_id", "subscription_id", "feature"],
                condition=models.Q(subscription_id__isnull=False),
                name="one_override_per_subscription_and_feature",
            ),
        ),
    ]
