"""Opening what was claimed: who it goes to, how it is signed, and what is sent, decrypted inside its own tenant."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db import connection

from stackbe.kernel.arrays import array
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.crypto import SealBroken
from stackbe.kernel.ids import encode
from stackbe.kernel.scope import system_scope
from stackbe.kernel.transactions import reading
from webhooks.dispatch.fanout import ACTOR
from webhooks.dispatch.queue import Parcel, Unsendable
from webhooks.models import Event, WebhookEndpoint

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from stackbe.kernel.crypto import Keyring
    from stackbe.kernel.fields import Sealed
    from webhooks.dispatch.queue import Claimed

log = logging.getLogger("stackbe.dispatcher")
# Of all tenants at once: the worker's role may ask this, and what it gets is sealed. The bounds spare
# partitions that hold none of them.
EVENTS = """
select id, tenant_id, app_id, subject_id, body from webhooks_event
where id = any(%(ids)s::uuid[]) and id >= %(first)s and id <= %(last)s
"""
IN_SERVICE = """
select app.id from unnest(%s::uuid[]) as asked(id) cross join lateral lookup.app(asked.id) as app where not app.closed
"""
ENDPOINTS = """
select id, tenant_id, url, secret, previous_secret, previous_secret_until, live, enabled, deleted_at
from webhooks_webhookendpoint where tenant_id = %s and app_id = %s and id = any(%s::uuid[])
"""
BODY: Sealed = Event._meta.get_field("body")


@dataclass(slots=True, repr=False)
class Letter:
    """An event as it came from the database; its body is opened once for all of its deliveries."""

    id: UUID
    tenant_id: UUID
    app_id: UUID
    subject_id: UUID | None
    sealed: bytes
    public_id: str = ""
    body: bytes | None = None
    reason: str = ""

    def open(self) -> None:
        """Decrypt the body, or say why it cannot be sent."""
        self.public_id = encode(Event.id_prefix, self.id)
        text = BODY.open_row(self.id, self.tenant_id, self.sealed)
        self.body, self.reason = (None, "EVENT_ERASED") if text is None else (text.encode(), "")


@dataclass(slots=True, repr=False)
class Door:
    """An endpoint, opened once for all of its deliveries in a claim."""

    url: str
    secrets: tuple[str, ...]
    live: bool


def open_claims(claims: Iterable[Claimed]) -> list[Parcel | Unsendable]:
    """Return what each claim sends."""
    by_app: dict[tuple[UUID, UUID], list[Claimed]] = {}
    for claimed in claims:
        by_app.setdefault((claimed.tenant_id, claimed.app_id), []).append(claimed)
    in_service = _in_service({app_id for _, app_id in by_app})
    letters = _letters({c.event_id for of_app in by_app.values() for c in of_app})
    opened: list[Parcel | Unsendable] = []
    for (tenant_id, app_id), of_app in by_app.items():
        # An app or tenant that is archived or suspended: its hooks are dead with it.
        if app_id not in in_service:
            opened += [Unsendable(c, "APP_CLOSED") for c in of_app]
            continue
        scope = system_scope(tenant_id, app_id, actor_name=ACTOR)
        with reading(scope) as unit:
            rows = WebhookEndpoint.objects.within(scope).raw(
                ENDPOINTS, [tenant_id, app_id, array({c.endpoint_id for c in of_app})]
            )
            endpoints = {row.pk: _open_endpoint(row) for row in rows}
            written = {c.event_id: _own(letters.get(c.event_id), tenant_id, app_id) for c in of_app}
            _open_letters(unit.keys, [each for each in written.values() if each is not None])
            opened += [_pack(c, endpoints.get(c.endpoint_id, "ENDPOINT_DELETED"), written[c.event_id]) for c in of_app]
    return opened


def _in_service(app_ids: Iterable[UUID]) -> set[UUID]:
    with connection.cursor() as cursor:
        cursor.execute(IN_SERVICE, [array(app_ids)])
        return {row[0] for row in cursor.fetchall()}


def _letters(ids: set[UUID]) -> dict[UUID, Letter]:
    if not ids:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(EVENTS, {"ids": array(ids), "first": min(ids), "last": max(ids)})
        return {row[0]: Letter(*row) for row in cursor.fetchall()}


def _own(letter: Letter | None, tenant_id: UUID, app_id: UUID) -> Letter | None:
    """Return an event if it is the app's own."""
    return letter if letter is not None and (letter.tenant_id, letter.app_id) == (tenant_id, app_id) else None


def _open_endpoint(endpoint: WebhookEndpoint) -> Door | str:
    """Return where it is and what signs, or why nothing is sent there."""
    if endpoint.deleted_at is not None:
        return "ENDPOINT_DELETED"
    if not endpoint.enabled:
        return "ENDPOINT_DISABLED"
    try:
        url, secrets = endpoint.url, endpoint.signing_secrets(wall_clock())
    except SealBroken:
        log.exception("sealed value does not open", extra={"endpoint": endpoint.public_id})
        return "UNREADABLE"
    if url is None or None in secrets:
        return "UNREADABLE"
    return Door(url, tuple(secrets), endpoint.live)


def _open_letters(keys: Keyring, letters: list[Letter]) -> None:
    """Open the events of one app; a broken one fails by itself."""
    with suppress(SealBroken):
        keys.preload({letter.subject_id for letter in letters if letter.subject_id is not None})
    for letter in letters:
        try:
            letter.open()
        except SealBroken:
            log.exception("sealed value does not open", extra={"event": letter.public_id})
            letter.reason = "UNREADABLE"


def _pack(claimed: Claimed, door: Door | str, letter: Letter | None) -> Parcel | Unsendable:
    if isinstance(door, str):
        return Unsendable(claimed, door)
    if letter is None:
        return Unsendable(claimed, "EVENT_EXPIRED")
    if letter.body is None:
        return Unsendable(claimed, letter.reason)
    return Parcel(claimed, letter.public_id, letter.subject_id, door.url, door.secrets, letter.body, door.live)
