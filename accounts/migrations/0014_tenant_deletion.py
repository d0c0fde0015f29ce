"""When a tenant is to be deleted, and how far that is."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0013_erasures'),
    ]

    operations = [
        migrations.AddField(
            model_name='tenant',
            name=name,
            field=models.DateTimeField(null=True),
        )
        for name in ('deletion_asked_at', 'deletion_due_at', 'deletion_reminded_at', 'erasing_at', 'erased_at')
    ]
