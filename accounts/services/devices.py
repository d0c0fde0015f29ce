"""The browsers that a developer is signed in with: listed, ended from afar, and told of when they are new."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.contrib.sessions.backends.base import SessionBase

from accounts.developer_models import Device
from accounts.errors import DeviceNotFound
from accounts.member_mail import mail_sign_in_alert
from accounts.services.factors import own_scope
from accounts.services.sessions import family_of
from stackbe.kernel import http, ids
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.crypto import token_digest
from stackbe.kernel.jobs import enqueue
from stackbe.kernel.models import BrowserSession
from stackbe.kernel.sessions import stored_key
from stackbe.kernel.transactions import require_change

if TYPE_CHECKING:
    from accounts.models import User

SEEN_EVERY = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """One browser that is signed in now."""

    device: Device
    is_this: bool
    until: datetime


def note_sign_in(user: User, *, browser: str, session: SessionBase, user_agent: str, address: str) -> Device:
    """Remember which browser holds a new session, and mail the developer if they never used it before.

    `browser` is the secret of the browser's own long-lived cookie. Of a first sign-in ever nobody is told.
    """
    require_change()
    moment, digest = wall_clock(), token_digest(browser)
    others = Device.objects.filter(user_id=user.id)
    known = others.select_for_update().filter(digest=digest).first()
    is_first = known is None and not others.exists()
    device = known or Device(user_id=user.id, digest=digest, created_at=moment)
    device.session_key = stored_key(session.session_key or "")
    device.signed_in_at = device.last_seen_at = moment
    device.address = http.truncated(address)
    device.user_agent_family = family_of(user_agent)
    device.save()
    if known is None and not is_first:
        enqueue(mail_sign_in_alert, device_id=str(device.pk))
    return device


def note_seen(session: SessionBase) -> None:
    """Note that a browser was here, at most every five minutes."""
    moment = wall_clock()
    key = stored_key(session.session_key or "")
    Device.objects.filter(session_key=key, last_seen_at__lt=moment - SEEN_EVERY).update(last_seen_at=moment)


def signed_in_devices(user: User, session: SessionBase) -> list[SignedIn]:
    """Return the browsers in which a developer is signed in, this one first, then the latest seen."""
    here = stored_key(session.session_key or "")
    live = {
        row.session_key: row.expire_date
        for row in BrowserSession.objects.filter(user_id=user.id, expire_date__gt=wall_clock())
    }
    rows = Device.objects.filter(user_id=user.id, session_key__in=live).order_by("-last_seen_at")
    found = [SignedIn(row, row.session_key == here, live[row.session_key]) for row in rows]
    return sorted(found, key=lambda one: not one.is_this)


def end_device(user: User, device_id: str) -> None:
    """Sign one browser out. Raises `DeviceNotFound` for one that is not the developer's."""
    require_change()
    try:
        key = ids.decode(Device.id_prefix, device_id)
    except ids.MalformedId:
        raise DeviceNotFound from None
    device = Device.objects.filter(user_id=user.id, pk=key).first()
    if device is None:
        raise DeviceNotFound
    BrowserSession.objects.filter(user_id=user.id, session_key=device.session_key).delete()
    audit(own_scope(user), "developer.signed_out", device.public_id, subject_id=user.id)


def end_other_devices(user: User, session: SessionBase) -> int:
    """Sign every browser out but this one; return how many."""
    require_change()
    others = BrowserSession.objects.filter(user_id=user.id).exclude(session_key=stored_key(session.session_key or ""))
    ended = others.delete()[0]
    audit(own_scope(user), "developer.signed_out", user.public_id, subject_id=user.id, detail={"others": ended})
    return ended
