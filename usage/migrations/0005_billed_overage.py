"""How much of a counter is on the customer's bill, and how much is on its way there."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("usage", "0004_allowance")]

    operations = [
        migrations.AddField("counter", "billed", models.BigIntegerField(db_default=0, default=0)),
        migrations.AddField("counter", "billing", models.BigIntegerField(db_default=0, default=0)),
    ]
