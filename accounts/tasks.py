"""Periodic work on sign-in: signing keys rotate. The jobs themselves stand beside what asks for them."""

from __future__ import annotations

from datetime import timedelta

from accounts import erasure, factor_mail, file_jobs, link_mail, member_mail
from accounts.models import (
    SigningKey,
)
from accounts.services import organizations_erasure, organizations_mail
from accounts.services.tokens import rotate_signing_key
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.jobs import every_tenant, periodic
from stackbe.kernel.scope import system_scope
from stackbe.kernel.transactions import change

# Importing them declares their jobs to the worker.
JOBS = (
    erasure.erase_customer_job,
    factor_mail.mail_factor_notice,
    file_jobs.import_customers,
    file_jobs.export_customers,
    file_jobs.copy_app_logo,
    link_mail.mail_developer_link,
    link_mail.mail_magic_link,
    organizations_erasure.erase_organization_job,
    organizations_mail.mail_invite,
)
DEVELOPERS = (member_mail.mail_member_invitation,)
SIGNING_KEY_LIVES = timedelta(days=90)


@periodic("accounts.rotate_signing_keys", "23 3 * * *")
def rotate_signing_keys(timestamp: int) -> None:
    """Replace signing keys that have served for 90 days, as `manage.py rotate_jwt_keys` does.

    What retires them is their own `retired_at`; the purge deletes the rows a day later.
    """
    old = wall_clock() - SIGNING_KEY_LIVES
    for tenant_id in every_tenant():
        scope = system_scope(tenant_id, actor_name="key rotation")
        with change(scope):
            due = SigningKey.objects.across_apps(scope).filter(retired_at__isnull=True, created_at__lt=old)
            for app_id in list(due.values_list("app_id", flat=True)):
                rotate_signing_key(system_scope(tenant_id, app_id, actor_name="key rotation"))
