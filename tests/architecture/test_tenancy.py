"""No tenant can reach another's rows, and no new code can forget it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from django.apps import apps
from django.db import connection

from accounts.models import Customer
from stackbe.kernel import subjects
from stackbe.kernel.fields import Sealed
from stackbe.kernel.tenancy import TenantOwned, UnscopedQuery
from tests import databases

OURS = ("kernel", "mail", "staff", "trust", "archive", "webhooks", "accounts", "apikeys", "billing", "usage")
# These belong to the platform: developers' identities, their links, factors and browsers, and the mail of
# the development inbox. The tenant's own row is walled by its id.
PLATFORM = {
    "accounts.DeveloperLink",
    "accounts.Device",
    "accounts.Passkey",
    "accounts.RecoveryCode",
    "accounts.SpentToken",
    "accounts.Tenant",
    "accounts.TotpFactor",
    "accounts.User",
    "kernel.BrowserSession",
}
ACROSS_TENANTS = {"unscoped", "_default_manager", "_base_manager"}
MAKING_ROWS = {"create", "bulk_create"}
FINDING_OWN_ROWS = {"get_or_create", "update_or_create"}
# Where crossing tenants is the job: the console, commands, and what runs before a tenant is known.
MAY_CROSS = {"admin.py", "commands", "console", "staff", "tests", "migrations"}
FOLDERS = ("stackbe", "accounts", "apikeys", "billing", "usage", "webhooks")


def models_of_ours() -> list[type]:
    return [model for label in OURS for model in apps.get_app_config(label).get_models()]


def test_every_model_belongs_to_a_tenant_or_is_listed_here():
    strays = {m._meta.label for m in models_of_ours() if not issubclass(m, TenantOwned)}

    platform = {label for label in strays if label.split(".")[0] in {"mail", "trust", "staff"}}
    assert strays - platform == PLATFORM


def test_every_table_with_a_tenant_is_walled(db):
    with connection.cursor() as cursor:
        cursor.execute(
            "select c.relname, c.relrowsecurity and c.relforcerowsecurity from pg_class c"
            " join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id'"
            " join pg_namespace n on n.oid = c.relnamespace and n.nspname = 'public'"
            " where c.relkind in ('r', 'p') and not c.relispartition"
        )
        rows = dict(cursor.fetchall())

    assert len(rows) > 15
    assert [name for name, walled in rows.items() if not walled] == []


def test_partitions_cannot_be_read_around_their_parent(db):
    with connection.cursor() as cursor:
        cursor.execute(
            "select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace"
            " where n.nspname = 'public' and c.relispartition and c.relkind = 'r'"
            " and (has_table_privilege('stackbe_web', c.oid, 'select')"
            "   or has_table_privilege('stackbe_worker', c.oid, 'select'))"
        )

        assert cursor.fetchall() == []


@pytest.mark.parametrize("role", ["stackbe_web", "stackbe_worker", "stackbe_staff"])
def test_the_serving_roles_own_nothing_and_bypass_nothing(db, role):
    with connection.cursor() as cursor:
        cursor.execute(
            "select rolsuper, rolbypassrls, rolcreatedb, rolcreaterole, rolreplication,"
            " exists (select from pg_class where relowner = r.oid),"
            " has_schema_privilege(rolname, 'public', 'create'),"
            " pg_has_role(rolname, 'stackbe_owner', 'member')"
            " or pg_has_role(rolname, 'stackbe_lookup', 'member')"
            " from pg_roles r where rolname = %s",
            [role],
        )

        assert cursor.fetchone() == (False,) * 8


@pytest.mark.parametrize("table", ["kernel_auditevent", "kernel_auditseal"])
@pytest.mark.parametrize("role", ["stackbe_web", "stackbe_worker", "stackbe_staff"])
def test_no_serving_role_may_change_the_audit_log(db, role, table):
    with connection.cursor() as cursor:
        cursor.execute(
            "select has_table_privilege(%(r)s, %(t)s, 'insert'), has_table_privilege(%(r)s, %(t)s, 'update'),"
            " has_table_privilege(%(r)s, %(t)s, 'delete'), has_table_privilege(%(r)s, %(t)s, 'truncate')",
            {"r": role, "t": table},
        )

        assert cursor.fetchone() == (role != "stackbe_staff", False, False, False)


def test_the_staff_role_sees_every_tenants_rows_and_changes_nothing(db):
    with connection.cursor() as cursor:
        cursor.execute(
            "select c.oid::regclass::text from pg_class c"
            " where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and ("
            "  has_table_privilege('stackbe_staff', c.oid, 'insert, update, delete, truncate, references, trigger')"
            "  or has_any_column_privilege('stackbe_staff', c.oid, 'insert, update, references'))"
            " union all select s.seqrelid::regclass::text from pg_sequence s"
            "  where has_sequence_privilege('stackbe_staff', s.seqrelid, 'usage, update')"
            " union all select p.oid::regprocedure::text from pg_proc p where p.prosecdef and p.provolatile = 'v'"
            "  and has_function_privilege('stackbe_staff', p.oid, 'execute')"
        )

        assert cursor.fetchall() == []


def test_what_runs_with_its_owners_rights_is_called_by_named_roles_alone(db):
    with connection.cursor() as cursor:
        cursor.execute(
            "select p.oid::regprocedure::text from pg_proc p,"
            " aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) as given"
            " where p.prosecdef and given.grantee = 0"
        )
        open_to_all = cursor.fetchall()
        cursor.execute(
            "select array_agg(r.name) from unnest(array['web', 'worker', 'staff', 'owner']) as r (name)"
            " where has_function_privilege('stackbe_' || r.name, 'lookup.audit_heads()', 'execute')"
        )
        signing_heads = cursor.fetchone()

    assert open_to_all == []
    assert signing_heads == (["worker"],)


def test_the_unscoped_manager_only_makes_rows():
    """`Model.unscoped.create(…)` names the owner; any other use could read across tenants."""
    for path in [p for name in FOLDERS for p in (databases.ROOT / name).rglob("*.py")]:
        if MAY_CROSS & set(path.parts) or path.name == "tenancy.py":
            continue
        for place in crossings(path):
            pytest.fail(f"{path.relative_to(databases.ROOT)}:{place} reads across tenants")


def crossings(path: Path) -> list[int]:
    """Return the lines that use an unscoped manager for anything but making rows of our tenants."""
    tree = ast.parse(path.read_text())
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    found = []
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Attribute) and node.attr in ACROSS_TENANTS):
            continue
        after = parents.get(node)
        making = isinstance(after, ast.Attribute) and (
            after.attr in MAKING_ROWS or (after.attr in FINDING_OWN_ROWS and names_its_owner(parents.get(after)))
        )
        platform = isinstance(node.value, ast.Name) and node.value.id in {
            "BackupRun",
            "DeveloperLink",
            "SpentToken",
            "Tenant",
            "Ticket",
            "TicketAnswer",
            "TrustCheck",
            "cls",
            "InboxMessage",
        }
        if not making and not platform:
            found.append(node.lineno)
    return found


def names_its_owner(call: ast.AST | None) -> bool:
    """Say whether a call spreads `**owned_by(scope)`, so that it finds and makes the scope's rows alone."""
    spread = [word.value for word in call.keywords if word.arg is None] if isinstance(call, ast.Call) else []
    return any(isinstance(v, ast.Call) and isinstance(v.func, ast.Name) and v.func.id == "owned_by" for v in spread)


def test_every_model_with_personal_data_is_registered_for_export_and_erasure():
    sealed = {
        m._meta.label
        for m in models_of_ours()
        if any(isinstance(f, Sealed) and f.subject for f in m._meta.get_fields())
    }
    about_customers = {
        m._meta.label
        for m in models_of_ours()
        if any(getattr(f, "related_model", None) is Customer for f in m._meta.get_fields() if f.concrete)
        or any(f.name in {"customer_id", "subject_id"} for f in m._meta.get_fields())
    }
    # The key is destroyed last by the registry itself; the audit log is append-only and reads as nothing
    # without it; users are developers, not subjects of a tenant.
    by_the_kernel = {"kernel.SubjectKey", "kernel.AuditEvent", "accounts.User"}

    assert (sealed | about_customers) - by_the_kernel <= subjects.registered_models()


QUERIES = {
    "all": lambda m: list(m.objects.all()),
    "filter": lambda m: m.objects.filter(pk=None),
    "get": lambda m: m.objects.get(pk=None),
    "exists": lambda m: m.objects.exists(),
    "exclude": lambda m: m.objects.exclude(pk=None).exists(),
    "subquery": lambda m: list(m.unscoped.filter(pk__in=m.objects.exclude(pk=None))),
    "count": lambda m: m.objects.count(),
    "update": lambda m: m.objects.update(name=None),
    "delete": lambda m: m.objects.all().delete(),
    "create": lambda m: m.objects.create(),
    "bulk_create": lambda m: m.objects.bulk_create([m()]),
    "in_bulk": lambda m: m.objects.in_bulk(),
    "iterator": lambda m: list(m.objects.iterator()),
    "raw": lambda m: list(m.objects.raw("select 1")),
    "none": lambda m: m.objects.none(),
    "using": lambda m: m.objects.using("default").exists(),
}


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_a_query_without_a_scope_is_refused(db, query):
    with pytest.raises(UnscopedQuery):
        query(Customer)
