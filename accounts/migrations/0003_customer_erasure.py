"""When a customer's data was let go; externalIds compared byte by byte."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_walls")]

    operations = [
        migrations.AddField("customer", "erased_at", models.DateTimeField(null=True)),
        migrations.AlterField(
            "customer",
            "external_id",
            models.CharField(db_collation="C", max_length=255, null=True),
        ),
    ]
