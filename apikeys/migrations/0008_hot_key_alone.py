"""A hot key is looked up as one value and not as a set of rows: an expression to PL/pgSQL, and no query."""

from importlib import import_module

from django.db import migrations

from stackbe.kernel.walls import LookupFunction, LookupRights

AUTHORISE = import_module("apikeys.migrations.0004_authorise_by_limit").AUTHORISE
FIND = import_module("apikeys.migrations.0006_key_suspension").FIND_HOT
SIGNATURE = "hot_key(lookup_part text, wanted_app uuid)"
FOUND = (
    "id uuid, tenant_id uuid, app_id uuid, of_tenant boolean, kind text, digest bytea, scopes text[], bound boolean,"
    " last_used_at timestamptz, expires_at timestamptz, revoked_at timestamptz, suspended boolean, app_found boolean,"
    " clock_offset_ms bigint, hot_limit integer"
)
QUERIES = {
    "drop function apikeys_authorise;\ncreate function": "create or replace function",
    "select * into k from lookup.hot_key(p_lookup, p_app);\n  if not found or": (
        "k := lookup.hot_key(p_lookup, p_app);\n  if k.id is null or"
    ),
    "select * into t from kernel_take(": "t := kernel_take(",
}


def with_values(statement):
    """Return the function with values in place of queries."""
    for before, after in QUERIES.items():
        assert statement.count(before) == 1
        statement = statement.replace(before, after)
    return statement


class Migration(migrations.Migration):
    dependencies = [("apikeys", "0007_key_pepper")]

    operations = [
        LookupRights("drop function lookup.hot_key(text, uuid)"),
        migrations.RunSQL(f"create type lookup.found_key as ({FOUND})", migrations.RunSQL.noop),
        LookupFunction(SIGNATURE, "lookup.found_key", FIND),
        # The way back leaves it: the one before answers the same.
        migrations.RunSQL(with_values(AUTHORISE), migrations.RunSQL.noop),
    ]
