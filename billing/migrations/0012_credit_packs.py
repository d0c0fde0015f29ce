"""A plan that is paid once may end in credits."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0011_subscription_overrides")]

    operations = [
        migrations.AddField("planversion", "credits", models.JSONField(default=list, db_default=[])),
    ]
