"""The record of backups and drills."""

from django.db import migrations, models

import stackbe.kernel.clock
import stackbe.kernel.ids
from stackbe.kernel.walls import PlatformTable


class Migration(migrations.Migration):
    initial = True
    dependencies = [("kernel", "0002_walls")]

    operations = [
        migrations.CreateModel(
            name="BackupRun",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=stackbe.kernel.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("kind", models.CharField(choices=[("base", "Base"), ("drill", "Drill")], max_length=10)),
                ("started_at", models.DateTimeField(default=stackbe.kernel.clock.wall_clock)),
                ("finished_at", models.DateTimeField(null=True)),
                ("succeeded", models.BooleanField(default=False)),
                ("detail", models.JSONField(default=dict)),
            ],
            options={
                "base_manager_name": "unscoped",
                "default_manager_name": "unscoped",
                "indexes": [models.Index(fields=["kind", "-started_at"], name="backuprun_newest")],
            },
            managers=[("unscoped", models.Manager())],
        ),
        PlatformTable("trust_backuprun"),
    ]
