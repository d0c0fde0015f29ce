"""Signing in with an account elsewhere: providers, whose accounts are whose, sign-ins under way."""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.manager
import stackbe.kernel.clock
import stackbe.kernel.ids
from django.db import migrations, models

from stackbe.kernel.walls import TenantWall


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0010_app_logo'),
    ]

    operations = [
        migrations.CreateModel(
            name='SocialProvider',
            fields=[
                ('id', models.UUIDField(default=stackbe.kernel.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('tenant_id', models.UUIDField(editable=False)),
                ('app_id', models.UUIDField(editable=False)),
                ('slug', models.CharField(max_length=40)),
                ('name', models.CharField(max_length=60)),
                ('issuer', models.CharField(max_length=2048)),
                ('client_id', models.CharField(max_length=255)),
                ('client_secret', models.BinaryField()),
                ('secret_set_at', models.DateTimeField(default=stackbe.kernel.clock.wall_clock)),
                ('scopes', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=80), size=None)),
                ('enabled', models.BooleanField(default=True)),
                ('trouble', models.CharField(blank=True, max_length=300)),
                ('trouble_at', models.DateTimeField(null=True)),
                ('created_at', models.DateTimeField(default=stackbe.kernel.clock.wall_clock)),
                ('updated_at', models.DateTimeField(default=stackbe.kernel.clock.wall_clock)),
            ],
            options={
                'abstract': False,
                'base_manager_name': 'unscoped',
                'default_manager_name': 'unscoped',
                'constraints': [models.UniqueConstraint(fields=('app_id', 'slug'), name='one_provider_per_slug')],
            },
            managers=[
                ('unscoped', django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name='CustomerIdentity',
            fields=[
                ('id', models.UUIDField(default=stackbe.kernel.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('tenant_id', models.UUIDField(editable=False)),
                ('app_id', models.UUIDField(editable=False)),
                ('provider', models.CharField(max_length=40)),
                ('subject_index', models.BinaryField()),
                ('subject', models.BinaryField()),
                ('email', models.BinaryField(null=True)),
                ('created_at', models.DateTimeField(default=stackbe.kernel.clock.wall_clock)),
                ('last_used_at', models.DateTimeField(null=True)),
                ('customer', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.customer')),
            ],
            options={
                'abstract': False,
                'base_manager_name': 'unscoped',
                'default_manager_name': 'unscoped',
                'indexes': [models.Index(fields=['customer', '-id'], name='identity_of_customer')],
                'constraints': [models.UniqueConstraint(fields=('app_id', 'subject_index'), name='one_customer_per_identity')],
            },
            managers=[
                ('unscoped', django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name='SocialAttempt',
            fields=[
                ('id', models.UUIDField(default=stackbe.kernel.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('tenant_id', models.UUIDField(editable=False)),
                ('app_id', models.UUIDField(editable=False)),
                ('session_id', models.UUIDField(null=True)),
                ('link_digest', models.BinaryField(null=True)),
                ('state_digest', models.BinaryField(null=True)),
                ('browser_digest', models.BinaryField(null=True)),
                ('checks', models.BinaryField(null=True)),
                ('redirect_url', models.CharField(max_length=2048)),
                ('organization_id', models.UUIDField(null=True)),
                ('created_at', models.DateTimeField(default=stackbe.kernel.clock.wall_clock)),
                ('expires_at', models.DateTimeField()),
                ('customer', models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.customer')),
                ('provider', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.socialprovider')),
            ],
            options={
                'abstract': False,
                'base_manager_name': 'unscoped',
                'default_manager_name': 'unscoped',
                'indexes': [models.Index(fields=['expires_at'], name='socialattempt_expiry')],
                'constraints': [models.UniqueConstraint(fields=('app_id', 'state_digest'), name='one_attempt_per_state'), models.UniqueConstraint(fields=('app_id', 'link_digest'), name='one_attempt_per_link')],
            },
            managers=[
                ('unscoped', django.db.models.manager.Manager()),
            ],
        ),
        TenantWall("accounts_socialprovider", app_key=True),
        TenantWall("accounts_customeridentity", app_key=True),
        TenantWall("accounts_socialattempt", app_key=True),
    ]
