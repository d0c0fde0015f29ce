"""What each day came to."""

import django.db.models.manager
import stackbe.kernel.clock
import stackbe.kernel.ids
from django.db import migrations, models

from stackbe.kernel.walls import TenantWall


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0009_plan_migrations'),
    ]

    operations = [
        migrations.CreateModel(
            name='RevenueDay',
            fields=[
                ('id', models.UUIDField(default=stackbe.kernel.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('tenant_id', models.UUIDField(editable=False)),
                ('app_id', models.UUIDField(editable=False)),
                ('day', models.DateField()),
                ('currency', models.CharField(max_length=3)),
                ('mrr_cents', models.BigIntegerField(default=0)),
                ('paying', models.PositiveIntegerField(default=0)),
                ('started', models.PositiveIntegerField(default=0)),
                ('churned', models.PositiveIntegerField(default=0)),
                ('trials_started', models.PositiveIntegerField(default=0)),
                ('trials_converted', models.PositiveIntegerField(default=0)),
                ('trials_lost', models.PositiveIntegerField(default=0)),
                ('paid_cents', models.BigIntegerField(default=0)),
                ('refunded_cents', models.BigIntegerField(default=0)),
                ('created_at', models.DateTimeField(default=stackbe.kernel.clock.wall_clock)),
            ],
            options={
                'abstract': False,
                'base_manager_name': 'unscoped',
                'default_manager_name': 'unscoped',
                'constraints': [models.UniqueConstraint(fields=('app_id', 'day', 'currency'), name='one_row_per_day_and_currency')],
            },
            managers=[
                ('unscoped', django.db.models.manager.Manager()),
            ],
        ),
        TenantWall("billing_revenueday", app_key=True),
    ]
