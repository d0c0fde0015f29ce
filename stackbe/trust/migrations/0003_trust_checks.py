"""What the checks of the trust page found."""

import django.db.models.manager
import stackbe.kernel.clock
import stackbe.kernel.ids
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('trust', '0002_tickets'),
    ]

    operations = [
        migrations.CreateModel(
            name='TrustCheck',
            fields=[
                ('id', models.UUIDField(default=stackbe.kernel.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('promise_id', models.CharField(max_length=4)),
                ('promise', models.CharField(max_length=200)),
                ('state', models.CharField(max_length=10)),
                ('evidence', models.TextField()),
                ('checked_at', models.DateTimeField(default=stackbe.kernel.clock.wall_clock)),
                ('changed', models.BooleanField(default=False)),
                ('before', models.CharField(blank=True, max_length=10)),
                ('promise_before', models.CharField(blank=True, max_length=200)),
            ],
            options={
                'base_manager_name': 'unscoped',
                'default_manager_name': 'unscoped',
                'indexes': [models.Index(fields=['promise_id', '-id'], name='trustcheck_newest'), models.Index(condition=models.Q(('changed', True)), fields=['-id'], name='trustcheck_changes')],
            },
            managers=[
                ('unscoped', django.db.models.manager.Manager()),
            ],
        ),
        # Only the worker writes what was found: a fault in the web code cannot make the page say that all is well.
        migrations.RunSQL(
            "grant select, insert, delete on trust_trustcheck to stackbe_worker;"
            " grant select on trust_trustcheck to stackbe_web, stackbe_staff",
            migrations.RunSQL.noop,
        ),
    ]
