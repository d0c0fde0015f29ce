"""Periodic work on sign-in: what has expired goes. The jobs themselves stand beside what asks for them."""

from __future__ import annotations

from datetime import timedelta

from accounts import erasure, factor_mail, file_jobs, link_mail, member_mail, member_upkeep
from accounts.customer_factor_models import CustomerTotp, PendingSignIn, SecurityVisit
from accounts.models import (
    CustomerSession,
    DeveloperLink,
    MagicLink,
    OneTimeCode,
    RefreshToken,
    SigningKey,
    SpentToken,
)
from accounts.organization_models import OrganizationInvite
from accounts.services import organizations_erasure, organizations_mail
from accounts.services.exports import drop_files
from accounts.services.second_factors import PENDING
from accounts.services.tokens import rotate_signing_key
from accounts.social_models import SocialAttempt
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.jobs import every_tenant, periodic
from stackbe.kernel.scope import PLATFORM, system_scope
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
DEVELOPERS = (member_mail.mail_member_invitation, member_upkeep.purge_developers_things)
# A late click can be told that it is late for this long.
KEEP_EXPIRED = timedelta(hours=24)
# Login times are shown in the customer's list of sessions for this long after a session's end.
KEEP_SESSIONS = timedelta(days=90)
SIGNING_KEY_LIVES = timedelta(days=90)
# Whoever invited sees for this long that nobody came, and may send it again.
KEEP_INVITES = timedelta(days=30)


@periodic("accounts.purge_expired", "*/10 * * * *")
def purge_expired(timestamp: int) -> None:
    """Delete links, codes, invitations, refresh tokens and sessions whose time is over, tenant by tenant."""
    moment = wall_clock()
    DeveloperLink.unscoped.filter(expires_at__lt=moment - KEEP_EXPIRED).delete()
    SpentToken.unscoped.filter(expires_at__lt=moment).delete()
    for tenant_id in every_tenant():
        if tenant_id == PLATFORM:
            continue
        scope = system_scope(tenant_id, actor_name="purge")
        with change(scope):
            MagicLink.objects.across_apps(scope).filter(expires_at__lt=moment - KEEP_EXPIRED).delete()
            OneTimeCode.objects.across_apps(scope).filter(expires_at__lt=moment - KEEP_EXPIRED).delete()
            for each in (PendingSignIn, SecurityVisit):
                each.objects.across_apps(scope).filter(expires_at__lt=moment - KEEP_EXPIRED).delete()
            stale = CustomerTotp.objects.across_apps(scope).filter(confirmed_at__isnull=True)
            stale.filter(created_at__lt=moment - PENDING).delete()
            OrganizationInvite.objects.across_apps(scope).filter(expires_at__lt=moment - KEEP_INVITES).delete()
            SocialAttempt.objects.across_apps(scope).filter(expires_at__lt=moment).delete()
            RefreshToken.objects.across_apps(scope).filter(expires_at__lt=moment).delete()
            CustomerSession.objects.across_apps(scope).filter(expires_at__lt=moment - KEEP_SESSIONS).delete()
            SigningKey.objects.across_apps(scope).filter(retired_at__lt=moment - KEEP_EXPIRED).delete()


@periodic("accounts.rotate_signing_keys", "23 3 * * *")
def rotate_signing_keys(timestamp: int) -> None:
    """Replace signing keys that have served for 90 days, as `manage.py rotate_jwt_keys` does.

    What retires them is their own `retired_at`; `purge_expired` deletes the rows a day later.
    """
    old = wall_clock() - SIGNING_KEY_LIVES
    for tenant_id in every_tenant():
        scope = system_scope(tenant_id, actor_name="key rotation")
        with change(scope):
            due = SigningKey.objects.across_apps(scope).filter(retired_at__isnull=True, created_at__lt=old)
            for app_id in list(due.values_list("app_id", flat=True)):
                rotate_signing_key(system_scope(tenant_id, app_id, actor_name="key rotation"))


@periodic("accounts.drop_customer_files", "29 * * * *")
def drop_customer_files(timestamp: int) -> None:
    """Drop the content of customers' files that are a day old."""
    for tenant_id in every_tenant():
        scope = system_scope(tenant_id, actor_name="purge")
        with change(scope):
            drop_files(scope)
