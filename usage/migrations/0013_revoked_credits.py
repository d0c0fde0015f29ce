"""Purchased credits end when their payment goes back, and return when a dispute is won."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("usage", "0012_count_in_one_call")]

    operations = [
        migrations.AddField("credit", "revoked_at", models.DateTimeField(null=True)),
        migrations.AddField("credit", "lasted_until", models.DateTimeField(null=True)),
    ]
