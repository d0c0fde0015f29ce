"""Invitations to organizations; when an organization's deletion was asked for."""

import django.db.models.deletion
import django.db.models.manager
from django.db import migrations, models

import stackbe.kernel.clock
import stackbe.kernel.ids
from stackbe.kernel.walls import TenantWall


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0006_members"),
    ]

    operations = [
        migrations.AddField(
            model_name="organization",
            name="deleted_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.CreateModel(
            name="OrganizationInvite",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=stackbe.kernel.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("tenant_id", models.UUIDField(editable=False)),
                ("app_id", models.UUIDField(editable=False)),
                ("email", models.BinaryField()),
                ("email_index", models.BinaryField()),
                ("role", models.CharField(max_length=10)),
                ("token_digest", models.BinaryField(null=True)),
                ("sendings", models.PositiveIntegerField(default=1)),
                ("redirect_url", models.CharField(blank=True, max_length=2048)),
                ("invited_by", models.CharField(max_length=80)),
                ("created_at", models.DateTimeField(default=stackbe.kernel.clock.wall_clock)),
                ("sent_at", models.DateTimeField(null=True)),
                ("expires_at", models.DateTimeField()),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="accounts.organization"
                    ),
                ),
            ],
            options={
                "abstract": False,
                "base_manager_name": "unscoped",
                "default_manager_name": "unscoped",
                "indexes": [
                    models.Index(fields=["app_id", "email_index"], name="invite_email"),
                    models.Index(fields=["expires_at"], name="invite_expiry"),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("organization", "email_index"), name="one_invite_per_address"),
                    models.UniqueConstraint(fields=("app_id", "token_digest"), name="one_invite_per_token"),
                ],
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
        TenantWall("accounts_organizationinvite", app_key=True),
    ]
