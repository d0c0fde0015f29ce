"""Customers' second factors, the visits to our pages for them, and how a session was proven."""

import django.db.models.deletion
import django.db.models.manager
import stackbe.kernel.clock
import stackbe.kernel.ids
from django.db import migrations, models

from stackbe.kernel.walls import TenantWall


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0011_social_sign_in'),
    ]

    operations = [
        migrations.AddField(
            model_name='customersession',
            name='amr',
            field=models.CharField(blank=True, default='', max_length=60),
        ),
        migrations.AddField(
            model_name='customersession',
            name='proven_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='onetimecode',
            name='amr',
            field=models.CharField(blank=True, default='', max_length=60),
        ),
        migrations.CreateModel(
            name='CustomerPasskey',
            fields=[
                ('id', models.UUIDField(default=stackbe.kernel.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('tenant_id', models.UUIDField(editable=False)),
                ('app_id', models.UUIDField(editable=False)),
                ('created_at', models.DateTimeField(default=stackbe.kernel.clock.wall_clock)),
                ('credential_id', models.BinaryField()),
                ('public_key', models.BinaryField()),
                ('sign_count', models.BigIntegerField(default=0)),
                ('name', models.BinaryField()),
                ('last_used_at', models.DateTimeField(null=True)),
                ('customer', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.customer')),
            ],
            options={
                'abstract': False,
                'base_manager_name': 'unscoped',
                'default_manager_name': 'unscoped',
                'constraints': [models.UniqueConstraint(fields=('app_id', 'credential_id'), name='one_row_per_passkey')],
            },
            managers=[
                ('unscoped', django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name='CustomerRecoveryCode',
            fields=[
                ('id', models.UUIDField(default=stackbe.kernel.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('tenant_id', models.UUIDField(editable=False)),
                ('app_id', models.UUIDField(editable=False)),
                ('created_at', models.DateTimeField(default=stackbe.kernel.clock.wall_clock)),
                ('digest', models.BinaryField()),
                ('customer', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.customer')),
            ],
            options={
                'abstract': False,
                'base_manager_name': 'unscoped',
                'default_manager_name': 'unscoped',
                'constraints': [models.UniqueConstraint(fields=('app_id', 'digest'), name='one_row_per_recovery_code')],
            },
            managers=[
                ('unscoped', django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name='CustomerTotp',
            fields=[
                ('id', models.UUIDField(default=stackbe.kernel.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('tenant_id', models.UUIDField(editable=False)),
                ('app_id', models.UUIDField(editable=False)),
                ('created_at', models.DateTimeField(default=stackbe.kernel.clock.wall_clock)),
                ('secret', models.BinaryField()),
                ('confirmed_at', models.DateTimeField(null=True)),
                ('last_step', models.BigIntegerField(default=0)),
                ('customer', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.customer')),
            ],
            options={
                'abstract': False,
                'base_manager_name': 'unscoped',
                'default_manager_name': 'unscoped',
                'constraints': [models.UniqueConstraint(fields=('app_id', 'customer'), name='one_authenticator_per_customer')],
            },
            managers=[
                ('unscoped', django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name='PendingSignIn',
            fields=[
                ('id', models.UUIDField(default=stackbe.kernel.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('tenant_id', models.UUIDField(editable=False)),
                ('app_id', models.UUIDField(editable=False)),
                ('created_at', models.DateTimeField(default=stackbe.kernel.clock.wall_clock)),
                ('digest', models.BinaryField()),
                ('challenge', models.BinaryField(null=True)),
                ('challenge_at', models.DateTimeField(null=True)),
                ('expires_at', models.DateTimeField(db_index=True)),
                ('redirect_url', models.CharField(max_length=2048)),
                ('organization_id', models.UUIDField(null=True)),
                ('came_by', models.CharField(blank=True, max_length=40)),
                ('proven_by', models.CharField(blank=True, max_length=20)),
                ('customer', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.customer')),
            ],
            options={
                'abstract': False,
                'base_manager_name': 'unscoped',
                'default_manager_name': 'unscoped',
                'constraints': [models.UniqueConstraint(fields=('app_id', 'digest'), name='one_pending_sign_in_per_token')],
            },
            managers=[
                ('unscoped', django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name='SecurityVisit',
            fields=[
                ('id', models.UUIDField(default=stackbe.kernel.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('tenant_id', models.UUIDField(editable=False)),
                ('app_id', models.UUIDField(editable=False)),
                ('created_at', models.DateTimeField(default=stackbe.kernel.clock.wall_clock)),
                ('digest', models.BinaryField()),
                ('challenge', models.BinaryField(null=True)),
                ('challenge_at', models.DateTimeField(null=True)),
                ('expires_at', models.DateTimeField(db_index=True)),
                ('return_url', models.CharField(max_length=2048)),
                ('opened_at', models.DateTimeField(null=True)),
                ('proven_at', models.DateTimeField(null=True)),
                ('customer', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.customer')),
                ('session', models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.customersession')),
            ],
            options={
                'abstract': False,
                'base_manager_name': 'unscoped',
                'default_manager_name': 'unscoped',
                'constraints': [models.UniqueConstraint(fields=('app_id', 'digest'), name='one_security_visit_per_token')],
            },
            managers=[
                ('unscoped', django.db.models.manager.Manager()),
            ],
        ),
        TenantWall("accounts_customertotp", app_key=True),
        TenantWall("accounts_customerpasskey", app_key=True),
        TenantWall("accounts_customerrecoverycode", app_key=True),
        TenantWall("accounts_pendingsignin", app_key=True),
        TenantWall("accounts_securityvisit", app_key=True),
    ]
