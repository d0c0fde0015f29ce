"""A tenant's way out: asked for by an owner, taken back within two weeks, and then final.

Until the day comes everything goes on as before: keys work, customers sign in, webhooks are sent. So whoever
thinks better of it has lost nothing, and whoever moves away has the time to. Then the worker closes every
door, lets go of Stripe, deletes table by table, destroys the keys, and signs a receipt. What the law keeps is
reduced to numbers, dates and totals; the audit chain stays, with nothing in it that can still be read.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection
from psycopg import sql

from accounts.erasure_models import Erasure
from accounts.models import App, Membership, Tenant
from accounts.services.receipts import note_asked, receipt_of, sign_receipt
from accounts.services.tenants import fetch_tenant
from billing.stripe.connect import disconnect
from stackbe.archive.holdings import HOLDINGS, Fate
from stackbe.archive.notices import mail_deletion_notice
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import render, wall_clock
from stackbe.kernel.errors import Forbidden, ValidationFailed
from stackbe.kernel.jobs import enqueue, job
from stackbe.kernel.scope import Role, Scope, system_scope
from stackbe.kernel.transactions import change, forbid_transaction, require_change

REMIND_BEFORE = timedelta(days=3)
# Children before what they hang on; constraints are looked at when a change ends, so the order is for people.
LEFT_TO_THE_END = ("accounts_membership", "kernel_tenantkey", "kernel_subjectkey", "kernel_tenantsecret")
FIRST = (
    # Caught mails lie under the platform's key. Those about nobody that we know could be this tenant's: where mail
    # is caught instead of sent, nobody waits for them.
    (
        "delete from mail_inboxmessage where subject_id is null or subject_id in (select id from accounts_customer"
        " where tenant_id = %(t)s union all select id from accounts_organization where tenant_id = %(t)s)"
    ),
    "update billing_invoicereference set hosted_invoice_url = null, subscription_id = null where tenant_id = %(t)s",
)
STONES = (
    (
        "accounts_customer",
        (
            "delete from accounts_customer c where tenant_id = %s"
            " and not exists (select from billing_invoicereference i where i.customer_id = c.id)"
        ),
        # What is sealed stays as it is: without its key it is noise.
        (
            "update accounts_customer set external_id = null, email_index = sha256(random()::text::bytea),"
            " domain_index = sha256(random()::text::bytea),"
            " deleted_at = coalesce(deleted_at, %s), erased_at = coalesce(erased_at, %s) where tenant_id = %s"
        ),
    ),
    (
        "accounts_app",
        (
            "delete from accounts_app a where tenant_id = %s"
            " and not exists (select from billing_invoicereference i where i.app_id = a.id)"
            " and not exists (select from accounts_customer c where c.app_id = a.id)"
        ),
        (
            "update accounts_app set name = '', settings = '{}', archived_at = coalesce(archived_at, %s),"
            " suspended_at = coalesce(suspended_at, %s) where tenant_id = %s"
        ),
    ),
)


def ask_deletion(scope: Scope, name: str) -> Tenant:
    """Set the day on which the tenant is deleted. Owners alone; `name` must be the tenant's, typed.

    Asking again changes nothing. All owners are told by mail.
    """
    require_change()
    _refuse_others(scope)
    tenant = _held(scope)
    if name.strip() != tenant.name:
        raise ValidationFailed(fields={"name": ["That is not the account's name, so nothing was asked for."]})
    if tenant.deletion_due_at is None:
        moment = wall_clock()
        tenant.deletion_asked_at = moment
        tenant.deletion_due_at = moment + timedelta(days=settings.TENANT_DELETION_DAYS)
        tenant.deletion_reminded_at = None
        tenant.save(update_fields=["deletion_asked_at", "deletion_due_at", "deletion_reminded_at"])
        note_asked(scope, Erasure.Kind.TENANT, scope.tenant_id)
        audit(scope, "tenant.deletion_asked", tenant.public_id, detail={"dueAt": render(tenant.deletion_due_at)})
        tell_owners(scope, "asked")
    return tenant


def keep_tenant(scope: Scope) -> Tenant:
    """Take the deletion back. Harmless where none was asked for; too late once it has begun."""
    require_change()
    _refuse_others(scope)
    tenant = _held(scope)
    if tenant.deletion_due_at is not None and tenant.erasing_at is None:
        tenant.deletion_asked_at = tenant.deletion_due_at = tenant.deletion_reminded_at = None
        tenant.save(update_fields=["deletion_asked_at", "deletion_due_at", "deletion_reminded_at"])
        Erasure.objects.within(scope).filter(kind=Erasure.Kind.TENANT, done_at__isnull=True).delete()
        audit(scope, "tenant.deletion_withdrawn", tenant.public_id)
        tell_owners(scope, "withdrawn")
    return tenant


def tell_owners(scope: Scope, kind: str, **facts: str) -> None:
    """Queue a mail to each owner. A job names people by id; what it cannot look up later goes with it."""
    require_change()
    owners = Membership.objects.within(scope).filter(role=Role.OWNER.value)
    for user_id in owners.values_list("user_id", flat=True):
        enqueue(mail_deletion_notice, user_id=str(user_id), tenant_id=str(scope.tenant_id), kind=kind, **facts)


def look_after_deletion(tenant_id: UUID) -> None:
    """Remind a tenant's owners in time; queue the erasure once the day has come."""
    scope, moment = system_scope(tenant_id, actor_name="deletion"), wall_clock()
    with change(scope):
        tenant = Tenant.unscoped.select_for_update().filter(pk=tenant_id, deletion_due_at__isnull=False).first()
        if tenant is None or tenant.erased_at is not None or tenant.deletion_due_at is None:
            return
        if tenant.deletion_due_at <= moment:
            enqueue(erase_tenant_job, tenant_id=str(tenant_id))
        elif tenant.deletion_reminded_at is None and tenant.deletion_due_at - REMIND_BEFORE <= moment:
            tenant.deletion_reminded_at = moment
            tenant.save(update_fields=["deletion_reminded_at"])
            tell_owners(scope, "soon")


@job("archive.erase_tenant")
def erase_tenant_job(tenant_id: str) -> None:
    """Erase a tenant whose day has come."""
    erase_tenant(UUID(tenant_id))


def erase_tenant(tenant_id: UUID, *, again: bool = False) -> None:
    """Let go of a tenant for good. Does nothing before its day, and nothing twice.

    Each table goes in a change of its own, and its count with it: a worker that is killed leaves the rest to
    the next. `again` is for a restored backup, whose list of erasures says that it was done already.
    """
    forbid_transaction("an erasure's steps")
    scope = system_scope(tenant_id, actor_name="erasure")
    apps = _close(scope, again=again)
    if apps is None:
        return
    for app_id in apps:
        disconnect(system_scope(tenant_id, app_id, actor_name="erasure"))
    with change(scope), connection.cursor() as cursor:
        for statement in FIRST:
            cursor.execute(statement, {"t": tenant_id})
    for holding in reversed(HOLDINGS):
        if holding.fate == Fate.DELETED and holding.table not in LEFT_TO_THE_END:
            with change(scope):
                _count(scope, holding.table, _delete(scope, holding.table))
    with change(scope):
        for table, delete, reduce in STONES:
            _count(scope, table, _stones(scope, delete, reduce))
    _finish(scope)


def _close(scope: Scope, *, again: bool) -> list[UUID] | None:
    """Shut every door of a tenant whose day has come; return its apps, None where there is nothing to do."""
    with change(scope):
        tenant = _held(scope)
        moment = wall_clock()
        due = tenant.deletion_due_at is not None and tenant.deletion_due_at <= moment
        if tenant.erased_at is not None or not (due or again):
            return None
        tenant.erasing_at = tenant.erasing_at or moment
        tenant.suspended_at = tenant.suspended_at or moment
        tenant.save(update_fields=["erasing_at", "suspended_at"])
        note_asked(scope, Erasure.Kind.TENANT, scope.tenant_id)
        return list(App.objects.within(scope).values_list("id", flat=True))


def _delete(scope: Scope, table: str) -> int:
    with connection.cursor() as cursor:
        if table == "billing_subscriptiontransition":
            # No role may delete history but through this door, which asks whether the tenant is being erased.
            cursor.execute("select lookup.forget_transitions(%s)", [scope.tenant_id])
            return int(cursor.fetchone()[0])
        cursor.execute(sql.SQL("delete from {} where tenant_id = %s").format(sql.Identifier(table)), [scope.tenant_id])
        return int(cursor.rowcount)


def _stones(scope: Scope, delete: str, reduce: str) -> int:
    """Delete what no invoice hangs on, and empty the rest."""
    moment = wall_clock()
    with connection.cursor() as cursor:
        cursor.execute(delete, [scope.tenant_id])
        gone = int(cursor.rowcount)
        cursor.execute(reduce, [moment, moment, scope.tenant_id])
        return gone + int(cursor.rowcount)


def _count(scope: Scope, table: str, rows: int) -> None:
    row = Erasure.objects.within(scope).locked().get(kind=Erasure.Kind.TENANT, target_id=scope.tenant_id)
    if row.done_at is not None:
        return  # done before, and signed: a restored backup is brought up to it
    counts: dict[str, Any] = row.rows or {}
    row.rows = counts | {table: counts.get(table, 0) + rows}
    row.save(update_fields=["rows"])


def _finish(scope: Scope) -> None:
    """Destroy the keys, sign the receipt and tell the owners, in one change."""
    with change(scope):
        tenant = _held(scope)
        held = Erasure.objects.within(scope).get(kind=Erasure.Kind.TENANT, target_id=scope.tenant_id)
        counts = dict(held.rows or {})
        owners = Membership.objects.within(scope).filter(role=Role.OWNER.value)
        people = [str(user_id) for user_id in owners.values_list("user_id", flat=True)]
        for table in LEFT_TO_THE_END:
            counts[table] = _delete(scope, table)
        receipt = sign_receipt(scope, Erasure.Kind.TENANT, scope.tenant_id, counts)
        tenant.name, tenant.erased_at = "", wall_clock()
        tenant.save(update_fields=["name", "erased_at"])
        audit(scope, "tenant.erased", tenant.public_id)
        told = json.dumps(receipt_of(receipt), sort_keys=True)
        for user_id in people:
            enqueue(mail_deletion_notice, user_id=user_id, tenant_id=str(scope.tenant_id), kind="done", receipt=told)


def _held(scope: Scope) -> Tenant:
    fetch_tenant(scope)
    return Tenant.unscoped.select_for_update().get(pk=scope.tenant_id)


def _refuse_others(scope: Scope) -> None:
    if scope.role != Role.OWNER:
        raise Forbidden("Only an owner may delete the account.")
