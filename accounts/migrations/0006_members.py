"""Invitations to tenants; developers' second factors and browsers."""

import django.db.models.manager
import stackbe.kernel.clock
import stackbe.kernel.ids
from django.db import migrations, models

from stackbe.kernel.walls import LookupFunction, PlatformTable, TenantWall

INVITATION = """
  select i.id, i.tenant_id, t.name::text, i.role::text, i.expires_at
  from accounts_memberinvitation i join accounts_tenant t on t.id = i.tenant_id where i.token_digest = $1
"""
INVITATIONS_TO = """
  select i.id, i.tenant_id, t.name::text, i.role::text, i.expires_at
  from accounts_memberinvitation i join accounts_tenant t on t.id = i.tenant_id
  where i.email_index = $1 and i.expires_at > $2 order by i.id
"""
FOUND = "table (id uuid, tenant_id uuid, tenant_name text, role text, expires_at timestamptz)"


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0005_signing_key_overlap'),
    ]

    operations = [
        migrations.CreateModel(
            name='Passkey',
            fields=[
                ('id', models.UUIDField(default=stackbe.kernel.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('user_id', models.UUIDField(db_index=True)),
                ('created_at', models.DateTimeField(default=stackbe.kernel.clock.wall_clock)),
                ('credential_id', models.BinaryField(unique=True)),
                ('public_key', models.BinaryField()),
                ('sign_count', models.BigIntegerField(default=0)),
                ('name', models.CharField(max_length=60)),
                ('last_used_at', models.DateTimeField(null=True)),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='RecoveryCode',
            fields=[
                ('id', models.UUIDField(default=stackbe.kernel.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('user_id', models.UUIDField(db_index=True)),
                ('created_at', models.DateTimeField(default=stackbe.kernel.clock.wall_clock)),
                ('digest', models.BinaryField(unique=True)),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='Device',
            fields=[
                ('id', models.UUIDField(default=stackbe.kernel.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('user_id', models.UUIDField(db_index=True)),
                ('created_at', models.DateTimeField(default=stackbe.kernel.clock.wall_clock)),
                ('digest', models.BinaryField()),
                ('session_key', models.CharField(blank=True, db_index=True, max_length=64)),
                ('signed_in_at', models.DateTimeField(default=stackbe.kernel.clock.wall_clock)),
                ('last_seen_at', models.DateTimeField(default=stackbe.kernel.clock.wall_clock)),
                ('address', models.CharField(blank=True, max_length=45)),
                ('user_agent_family', models.CharField(blank=True, max_length=40)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('user_id', 'digest'), name='one_row_per_browser')],
            },
        ),
        migrations.CreateModel(
            name='MemberInvitation',
            fields=[
                ('id', models.UUIDField(default=stackbe.kernel.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('tenant_id', models.UUIDField(editable=False)),
                ('email', models.BinaryField()),
                ('email_index', models.BinaryField()),
                ('role', models.CharField(choices=[('viewer', 'viewer'), ('developer', 'developer'), ('admin', 'admin'), ('owner', 'owner')], max_length=20)),
                ('token_digest', models.BinaryField(null=True, unique=True)),
                ('invited_by', models.UUIDField(null=True)),
                ('created_at', models.DateTimeField(default=stackbe.kernel.clock.wall_clock)),
                ('sent_at', models.DateTimeField(null=True)),
                ('expires_at', models.DateTimeField()),
            ],
            options={
                'abstract': False,
                'base_manager_name': 'unscoped',
                'default_manager_name': 'unscoped',
                'indexes': [models.Index(fields=['email_index'], name='memberinvitation_email')],
                'constraints': [models.UniqueConstraint(fields=('tenant_id', 'email_index'), name='one_invitation_per_address')],
            },
            managers=[
                ('unscoped', django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name='TotpFactor',
            fields=[
                ('id', models.UUIDField(default=stackbe.kernel.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('user_id', models.UUIDField(db_index=True)),
                ('created_at', models.DateTimeField(default=stackbe.kernel.clock.wall_clock)),
                ('secret', models.BinaryField()),
                ('confirmed_at', models.DateTimeField(null=True)),
                ('last_step', models.BigIntegerField(default=0)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('user_id',), name='one_authenticator_per_developer')],
            },
        ),
        TenantWall("accounts_memberinvitation", lookup=True),
        PlatformTable(
            "accounts_totpfactor", "accounts_passkey", "accounts_recoverycode", "accounts_device",
        ),
        LookupFunction("member_invitation(digest bytea)", FOUND, INVITATION),
        LookupFunction("member_invitations_to(email_index bytea, moment timestamptz)", FOUND, INVITATIONS_TO),
    ]
