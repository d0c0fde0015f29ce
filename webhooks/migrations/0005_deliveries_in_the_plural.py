"""What the console calls more than one delivery. The table stays as it is."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("webhooks", "0004_filter_and_order")]

    operations = [
        migrations.AlterModelOptions(
            name="delivery",
            options={
                "base_manager_name": "unscoped",
                "default_manager_name": "unscoped",
                "verbose_name_plural": "deliveries",
            },
        ),
    ]
