"""Periodic work on what developers have of their own: what has run out goes."""

from __future__ import annotations

from datetime import timedelta

from accounts.developer_models import Device, MemberInvitation, TotpFactor
from accounts.services.second_factors import PENDING
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.jobs import every_tenant, periodic
from stackbe.kernel.scope import PLATFORM, system_scope
from stackbe.kernel.transactions import change

# A late click can be told that it is late for this long.
KEEP_EXPIRED = timedelta(days=7)
# As long as browsers keep the cookie that they are known by.
KEEP_DEVICES = timedelta(days=400)


@periodic("accounts.purge_developers_things", "17 * * * *")
def purge_developers_things(timestamp: int) -> None:
    """Delete invitations that nobody took, authenticator apps never confirmed, and browsers long unseen."""
    moment = wall_clock()
    TotpFactor.objects.filter(confirmed_at__isnull=True, created_at__lt=moment - PENDING).delete()
    Device.objects.filter(last_seen_at__lt=moment - KEEP_DEVICES).delete()
    for tenant_id in every_tenant():
        if tenant_id == PLATFORM:
            continue
        scope = system_scope(tenant_id, actor_name="purge")
        with change(scope):
            MemberInvitation.objects.within(scope).filter(expires_at__lt=moment - KEEP_EXPIRED).delete()
