"""When a signing key begins to sign; the country that a session came from."""

from django.db import migrations, models
from django.db.models import F

import stackbe.kernel.clock


def keys_of_old_sign_already(apps, schema_editor):
    apps.get_model("accounts", "SigningKey")._base_manager.update(activates_at=F("created_at"))


class Migration(migrations.Migration):
    dependencies = [("accounts", "0004_session_lookup")]

    operations = [
        migrations.AddField(
            "signingkey", "activates_at", models.DateTimeField(default=stackbe.kernel.clock.wall_clock)
        ),
        migrations.RunPython(keys_of_old_sign_already, migrations.RunPython.noop),
        migrations.AddField(
            "customersession", "country", models.CharField(blank=True, default="", max_length=2)
        ),
    ]
