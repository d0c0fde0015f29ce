"""A metered price at Stripe stands for an allowance's overage."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0005_reminders")]

    operations = [
        migrations.AlterField(
            "stripeobject",
            "kind",
            models.CharField(
                choices=[
                    ("product", "Product"),
                    ("coupon", "Coupon"),
                    ("promotion_code", "Promotion Code"),
                    ("meter", "Meter"),
                    ("overage", "Overage"),
                    ("portal", "Portal"),
                ],
                max_length=16,
            ),
        ),
    ]
