"""Staff may suspend one key, as they may an app or a tenant: both look-ups of keys say so."""

from importlib import import_module

from django.db import migrations, models

from stackbe.kernel.walls import ReplacedLookup

WHOLE = import_module("apikeys.migrations.0002_walls")
HOT = import_module("apikeys.migrations.0003_authorise")
BEFORE = "t.suspended_at is not null or a.suspended_at is not null as suspended"
AFTER = "coalesce(k.suspended_at, t.suspended_at, a.suspended_at) is not null as suspended"


def with_keys_own(statement):
    """Return a look-up that asks the key itself as well."""
    assert statement.count(BEFORE) == 1
    return statement.replace(BEFORE, AFTER)


FIND_HOT = with_keys_own(HOT.FIND)


class Migration(migrations.Migration):
    dependencies = [("apikeys", "0005_link_wanted")]

    operations = [
        migrations.AddField("apikey", "suspended_at", models.DateTimeField(null=True)),
        ReplacedLookup(
            "api_key(lookup_part text, wanted_app uuid)",
            "table (id uuid, tenant_id uuid, app_id uuid, of_tenant boolean, kind text,"
            " environment text, digest bytea, scopes text[], allowed_ips text[],"
            " last_used_at timestamptz, expires_at timestamptz, revoked_at timestamptz,"
            " suspended boolean, app_found boolean, app_environment text, clock_offset_ms bigint,"
            " api_limit integer, hot_limit integer, pepper bytea, tenant_key_id uuid,"
            " tenant_key bytea)",
            with_keys_own(WHOLE.FIND),
        ),
        ReplacedLookup(
            "hot_key(lookup_part text, wanted_app uuid)",
            "table (id uuid, tenant_id uuid, app_id uuid, of_tenant boolean, kind text, digest bytea,"
            " scopes text[], bound boolean, last_used_at timestamptz, expires_at timestamptz,"
            " revoked_at timestamptz, suspended boolean, app_found boolean, clock_offset_ms bigint,"
            " hot_limit integer)",
            FIND_HOT,
        ),
    ]
