"""What was paid once is referred to like an invoice; taxes are passed through; a switch that nothing ever set goes."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0012_credit_packs")]

    operations = [
        migrations.AddField("invoicereference", "checkout_id", models.UUIDField(null=True)),
        migrations.RemoveField("plan", "allows_another"),
        migrations.AddField("product", "tax_code", models.CharField(max_length=20, default="", db_default="", blank=True)),
        migrations.AddField(
            "price",
            "tax_behavior",
            models.CharField(
                max_length=9,
                choices=[("exclusive", "Exclusive"), ("inclusive", "Inclusive")],
                default="",
                db_default="",
                blank=True,
            ),
        ),
        migrations.AddField("checkout", "options", models.JSONField(default=dict, db_default={})),
    ]
