"""Which events never came by themselves, so that the dashboard can say how often that happens."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0003_coming_changes")]

    operations = [
        migrations.AddField("stripeevent", "recovered", models.BooleanField(db_default=False, default=False)),
    ]
