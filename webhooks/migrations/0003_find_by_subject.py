"""Indexes by which erasure finds what is held on a person."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("webhooks", "0002_walls")]

    operations = [
        migrations.AddIndex(
            model_name="attempt",
            index=models.Index(
                condition=models.Q(subject_id__isnull=False),
                fields=["app_id", "subject_id"],
                name="attempt_of_subject",
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(status="pending", subject_id__isnull=False),
                fields=["app_id", "subject_id"],
                name="delivery_waiting_on_subject",
            ),
        ),
    ]
