"""No table is forgotten: each with a tenant travels or says why not, and each has its fate at an erasure."""

from __future__ import annotations

from django.db import connection

from stackbe.archive.holdings import HOLDINGS, Fate

# Tables without a tenant. The platform's own (developers, staff), the framework's, and counters that name keys and
# hashed addresses only. Jobs carry ids. dj-stripe's mirror belongs to Stripe's accounts: see WITH_A_PERSON below.
WITHOUT_A_TENANT = {
    "accounts_developerlink",
    "accounts_device",
    "accounts_passkey",
    "accounts_recoverycode",
    "accounts_spenttoken",
    "accounts_tenant",  # walled by its own id; the name goes, the empty row stays
    "accounts_totpfactor",
    "accounts_user",
    "accounts_user_groups",
    "accounts_user_user_permissions",
    "auth_group",
    "auth_group_permissions",
    "auth_permission",
    "django_admin_log",
    "django_content_type",
    "django_migrations",
    "django_session",
    "kernel_browsersession",
    "kernel_counter",
    "kernel_partitionedtable",
    "kernel_ratebucket",
    "mail_inboxmessage",
    "procrastinate_events",
    "procrastinate_jobs",
    "procrastinate_periodic_defers",
    "procrastinate_workers",
    "trust_backuprun",
    "trust_ticket",
    "trust_ticketanswer",
    "trust_trustcheck",
}


def tables():
    with connection.cursor() as cursor:
        cursor.execute(
            "select c.relname, exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id')"
            " from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')"
            " and not c.relispartition and c.relname not like 'djstripe%%'"
        )
        return dict(cursor.fetchall())


def test_every_table_with_a_tenant_is_among_the_holdings(db):
    walled = {name for name, has_tenant in tables().items() if has_tenant}

    assert {holding.table for holding in HOLDINGS} == walled
    assert len(HOLDINGS) == len(walled)


def test_every_other_table_is_listed_here(db):
    assert {name for name, has_tenant in tables().items() if not has_tenant} == WITHOUT_A_TENANT


def test_what_stays_behind_says_why():
    behind = {holding.table for holding in HOLDINGS if not holding.travels}

    assert all(holding.stays.endswith(".") or "see " in holding.stays for holding in HOLDINGS if not holding.travels)
    assert behind == {
        "accounts_customerfile",
        "accounts_magiclink",
        "accounts_membership",
        "accounts_onetimecode",
        "accounts_pendingsignin",
        "accounts_securityvisit",
        "accounts_socialattempt",
        "archive_archive",
        "archive_archivepart",
        "billing_stripelease",
        "kernel_idempotencyrecord",
        "kernel_tenantkey",
        "staff_consent",
        "trust_chain",
        "usage_crossing",
    }


def test_what_an_erased_tenant_leaves_is_committed():
    left = {holding.table: holding.fate.value for holding in HOLDINGS if holding.fate != Fate.DELETED}

    assert left == {
        "accounts_app": "reduced",
        "accounts_customer": "reduced",
        "accounts_erasure": "kept",
        "billing_invoicereference": "reduced",
        "kernel_auditevent": "kept",
        "kernel_auditseal": "kept",
        "trust_chain": "kept",
    }
