"""From a mail that is asked for to what became of it: waiting, sent, refused, bounced.

Whoever asks records the mail in their own change; the worker delivers it and notes the outcome. An
address that bounced gets nothing more, because providers shut out senders who keep trying, and the
dashboard says so. Rows hold a blind index and no address.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import connection
from django.db.models import Count, Min

from stackbe.kernel.clock import wall_clock
from stackbe.kernel.scope import PLATFORM, Scope, platform_scope, system_scope
from stackbe.kernel.transactions import change, require_change
from stackbe.mail.models import BouncedAddress, OutgoingMail
from stackbe.mail.refusals import judge
from stackbe.mail.sending import Message, send

if TYPE_CHECKING:
    from stackbe.kernel.tenancy import ScopedQuerySet

LONG = timedelta(seconds=30)
# What has waited for a day is waited for no more: its link is long dead.
DAY = timedelta(days=1)
Status = OutgoingMail.Status


@dataclass(frozen=True, slots=True)
class Waiting:
    """Mail of an app that has waited for more than 30 seconds: how many, since when, the last refusal's code."""

    number: int
    since: datetime
    said: str

    @property
    def sentence(self) -> str:
        """Return what a developer should know, and what to look at."""
        them = "One sign-in mail has" if self.number == 1 else f"{self.number} sign-in mails have"
        said = f" The mail server last said: {self.said}." if self.said else " No mail server has been asked yet."
        return (
            f"{them} waited for more than 30 seconds, the oldest since {self.since:%H:%M} UTC.{said}"
            " They are tried again by themselves. See that the worker runs, and ask the operator for"
            " `manage.py doctor --mail you@example.com`."
        )


def record_asked(scope: Scope, mail_id: UUID, kind: str, address_index: bytes, *, asked_at: datetime) -> None:
    """Note that a mail is wanted, in the change that wants it. `mail_id` may be the id of what it is about."""
    require_change()
    OutgoingMail(
        id=mail_id,
        tenant_id=scope.tenant_id,
        app_id=scope.app_id,
        kind=kind,
        address_index=address_index,
        asked_at=asked_at,
    ).save(force_insert=True)


def is_recorded(scope: Scope, mail_id: UUID) -> bool:
    """Say whether a mail has been noted."""
    return _rows(scope).filter(pk=mail_id).exists()


def deliver(scope: Scope, mail_id: UUID, message: Message) -> None:
    """Send a recorded mail, with no change open, and note what became of it.

    What may pass is raised, so that the job is tried again later. A refusal for good is not: where the
    address itself is at fault, nothing more is sent to it.
    """
    try:
        provider_id = send(message)
    except Exception as failure:
        verdict = judge(failure)
        with change(scope):
            _note_failure(scope, mail_id, said=verdict.said, for_good=verdict.for_good)
            if verdict.address_at_fault:
                _remember(scope, mail_id, BouncedAddress.Reason.REFUSED, verdict.said)
        if not verdict.for_good:
            raise
        return
    with change(scope):
        for mail in _locked(scope, mail_id):
            mail.status, mail.sent_at, mail.provider_id = Status.SENT, wall_clock(), provider_id
            mail.attempts += 1
            mail.save(update_fields=["status", "sent_at", "provider_id", "attempts"])


def settle(scope: Scope, mail_id: UUID, status: Status) -> None:
    """Note that a waiting mail will not be sent, and why."""
    require_change()
    _rows(scope).filter(pk=mail_id, status=Status.WAITING).update(status=status)


def forget(scope: Scope, mail_id: UUID) -> None:
    """Forget that a mail was asked for: nobody is to be mailed at that address."""
    require_change()
    _rows(scope).filter(pk=mail_id).delete()


def bounce_of(scope: Scope, address_index: bytes) -> BouncedAddress | None:
    """Return why the scope's app sends nothing to an address, None where it does."""
    return _bounces(scope).filter(address_index=address_index).first()


def lift_bounce(scope: Scope, address_index: bytes) -> int:
    """Send to an address again; return how many bounces were forgotten."""
    require_change()
    return _bounces(scope).filter(address_index=address_index).delete()[0]


def forget_address(scope: Scope, address_index: bytes) -> int:
    """Let go of all that is noted of an address; return how many rows."""
    require_change()
    return lift_bounce(scope, address_index) + _rows(scope).filter(address_index=address_index).delete()[0]


def latest_to(scope: Scope, address_index: bytes) -> ScopedQuerySet[OutgoingMail]:
    """Return the mails to an address, newest first."""
    return _rows(scope).filter(address_index=address_index).order_by("-id")


def waiting(scope: Scope) -> Waiting | None:
    """Return the app's mail that has waited for longer than anybody likes to wait, None where there is none."""
    moment = wall_clock()
    rows = _rows(scope).filter(status=Status.WAITING, asked_at__lt=moment - LONG, asked_at__gt=moment - DAY)
    found = rows.aggregate(number=Count("pk"), since=Min("asked_at"))
    if not found["number"]:
        return None
    said = rows.exclude(said="").order_by("-asked_at").values_list("said", flat=True).first()
    return Waiting(found["number"], found["since"], said or "")


def record_bounce(provider_id: str, reason: str, said: str) -> bool:
    """Note what a provider tells of a mail that it had taken; False for a mail that is not ours."""
    with connection.cursor() as cursor:
        cursor.execute("select id, tenant_id, app_id from lookup.outgoing_mail(%s)", [provider_id])
        row = cursor.fetchone()
    if row is None:
        return False
    mail_id, tenant_id, app_id = row
    actor = "mail provider"
    scope = platform_scope(actor) if tenant_id == PLATFORM else system_scope(tenant_id, app_id, actor_name=actor)
    with change(scope):
        _rows(scope).filter(pk=mail_id).update(status=Status.BOUNCED, said=said)
        _remember(scope, mail_id, reason, said)
    return True


def _note_failure(scope: Scope, mail_id: UUID, *, said: str, for_good: bool) -> None:
    for mail in _locked(scope, mail_id):
        mail.attempts += 1
        mail.said = said
        mail.status = Status.REFUSED if for_good else mail.status
        mail.save(update_fields=["attempts", "said", "status"])


def _remember(scope: Scope, mail_id: UUID, reason: str, said: str) -> None:
    for mail in _rows(scope).filter(pk=mail_id):
        found = _bounces(scope).filter(address_index=mail.address_index)
        if not found.update(reason=reason, said=said, bounced_at=wall_clock()):
            BouncedAddress(
                tenant_id=scope.tenant_id,
                app_id=scope.app_id,
                address_index=mail.address_index,
                reason=reason,
                said=said,
            ).save(force_insert=True)


def _locked(scope: Scope, mail_id: UUID) -> ScopedQuerySet[OutgoingMail]:
    return _rows(scope).locked().filter(pk=mail_id)


def _rows(scope: Scope) -> ScopedQuerySet[OutgoingMail]:
    return OutgoingMail.objects.within(scope).filter(app_id=scope.app_id)


def _bounces(scope: Scope) -> ScopedQuerySet[BouncedAddress]:
    return BouncedAddress.objects.within(scope).filter(app_id=scope.app_id)
