"""A product has a name in the catalogue's document that outlives a change of what it is called."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0006_overage_prices")]

    operations = [
        migrations.AddField("product", "slug", models.CharField(blank=True, db_default="", default="", max_length=80)),
        migrations.AddConstraint(
            "product",
            models.UniqueConstraint(
                condition=models.Q(("active", True), models.Q(("slug", ""), _negated=True)),
                fields=("app_id", "slug"),
                name="one_active_product_per_slug",
            ),
        ),
    ]
