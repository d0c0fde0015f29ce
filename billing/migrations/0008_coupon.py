"""Coupons and their codes, walled like the rest of the catalogue."""

import django.db.models.functions.text
import django.db.models.manager
from django.db import migrations, models

import stackbe.kernel.clock
import stackbe.kernel.ids
from stackbe.kernel.walls import TenantWall


class Migration(migrations.Migration):
    dependencies = [("billing", "0007_product_slug")]

    operations = [
        migrations.CreateModel(
            name="Coupon",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=stackbe.kernel.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("tenant_id", models.UUIDField(editable=False)),
                ("app_id", models.UUIDField(editable=False)),
                ("code", models.CharField(max_length=80)),
                ("percent_off", models.DecimalField(decimal_places=2, max_digits=5, null=True)),
                ("amount_off_cents", models.PositiveBigIntegerField(null=True)),
                ("currency", models.CharField(blank=True, max_length=3)),
                (
                    "duration",
                    models.CharField(
                        choices=[("once", "Once"), ("repeating", "Repeating"), ("forever", "Forever")],
                        default="once",
                        max_length=9,
                    ),
                ),
                ("duration_in_months", models.PositiveSmallIntegerField(null=True)),
                ("max_redemptions", models.PositiveIntegerField(null=True)),
                ("expires_at", models.DateTimeField(null=True)),
                ("stripe_account", models.CharField(max_length=64)),
                ("stripe_coupon_id", models.CharField(blank=True, max_length=255)),
                ("stripe_promotion_id", models.CharField(blank=True, max_length=255)),
                ("created_at", models.DateTimeField(default=stackbe.kernel.clock.wall_clock)),
                ("archived_at", models.DateTimeField(null=True)),
            ],
            options={
                "abstract": False,
                "base_manager_name": "unscoped",
                "default_manager_name": "unscoped",
                "indexes": [models.Index(fields=["app_id", "-id"], name="coupon_newest")],
                "constraints": [
                    models.UniqueConstraint(
                        models.F("app_id"),
                        models.F("stripe_account"),
                        django.db.models.functions.text.Lower("code"),
                        condition=models.Q(("archived_at__isnull", True)),
                        name="one_coupon_per_code",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("percent_off__isnull", True), ("amount_off_cents__isnull", True), _connector="XOR"
                        ),
                        name="coupon_takes_one_thing_off",
                    ),
                ],
            },
            managers=[("unscoped", django.db.models.manager.Manager())],
        ),
        TenantWall("billing_coupon", app_key=True),
    ]
