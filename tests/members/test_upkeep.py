"""What has run out goes by itself."""

from __future__ import annotations

from accounts.models import Device, MemberInvitation, TotpFactor
from accounts.services.factors import DeveloperFactors, own_scope
from stackbe.kernel.transactions import change, reading
from tests.members.conftest import signed_in
from tests.queue import run_periodic


def test_what_nobody_took_confirmed_or_used_is_deleted(desk, acme, clock, mailbox):
    signed_in("kim@example.com", mailbox)
    desk.post("members", email="never@example.com", role="viewer")
    with change(own_scope(desk.user)):
        DeveloperFactors(desk.user).begin_authenticator()

    run_periodic("trust.purge")
    with reading(acme.scope):
        before = MemberInvitation.objects.within(acme.scope).count()
    kept = (before, TotpFactor.objects.count(), Device.objects.count())
    clock.move(days=401)
    run_periodic("trust.purge")

    with reading(acme.scope):
        after = MemberInvitation.objects.within(acme.scope).count()
    assert kept == (1, 1, 1)
    assert (after, TotpFactor.objects.count(), Device.objects.count()) == (0, 0, 0)
