"""Runs that bring a plan's subscribers to its newest version."""

import django.db.models.deletion
import django.db.models.manager
import stackbe.kernel.clock
import stackbe.kernel.ids
from django.db import migrations, models

from stackbe.kernel.walls import TenantWall


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0008_coupon'),
    ]

    operations = [
        migrations.CreateModel(
            name='PlanMigration',
            fields=[
                ('id', models.UUIDField(default=stackbe.kernel.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('tenant_id', models.UUIDField(editable=False)),
                ('app_id', models.UUIDField(editable=False)),
                ('from_version', models.PositiveIntegerField(null=True)),
                ('to_version', models.PositiveIntegerField()),
                ('price_ids', models.JSONField(default=list)),
                ('when', models.CharField(choices=[('now', 'Now'), ('period_end', 'Period End')], default='period_end', max_length=10)),
                ('prorate', models.BooleanField(default=True)),
                ('state', models.CharField(choices=[('running', 'Running'), ('done', 'Done'), ('stopped', 'Stopped')], default='running', max_length=7)),
                ('subscribers', models.PositiveIntegerField(default=0)),
                ('moved', models.PositiveIntegerField(default=0)),
                ('scheduled', models.PositiveIntegerField(default=0)),
                ('refused', models.PositiveIntegerField(default=0)),
                ('refusals', models.JSONField(default=list)),
                ('cursor', models.UUIDField(null=True)),
                ('in_hand', models.UUIDField(null=True)),
                ('started_by', models.CharField(max_length=80)),
                ('created_at', models.DateTimeField(default=stackbe.kernel.clock.wall_clock)),
                ('finished_at', models.DateTimeField(null=True)),
                ('plan', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='billing.plan')),
            ],
            options={
                'abstract': False,
                'base_manager_name': 'unscoped',
                'default_manager_name': 'unscoped',
                'indexes': [models.Index(fields=['plan', '-id'], name='migration_of_plan')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('state', 'running')), fields=('app_id', 'plan'), name='one_running_migration_per_plan')],
            },
            managers=[
                ('unscoped', django.db.models.manager.Manager()),
            ],
        ),
        TenantWall("billing_planmigration", app_key=True),
        migrations.RunSQL(
            "alter table billing_planmigration add constraint planmigration_plan_id_same_app"
            " foreign key (tenant_id, app_id, plan_id) references billing_plan (tenant_id, app_id, id)"
            " deferrable initially deferred",
            "alter table billing_planmigration drop constraint planmigration_plan_id_same_app",
        ),
    ]
