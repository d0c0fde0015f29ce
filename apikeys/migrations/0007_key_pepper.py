"""A key names the pepper that its digest was made with, so that peppers can be replaced while keys go on working."""

from importlib import import_module

from django.db import migrations, models

from stackbe.kernel.walls import LookupFunction

BEFORE = import_module("apikeys.migrations.0006_key_suspension")
WHOLE = import_module("apikeys.migrations.0002_walls")
SIGNATURE = "api_key(lookup_part text, wanted_app uuid)"
COLUMNS = (
    "id uuid, tenant_id uuid, app_id uuid, of_tenant boolean, kind text, environment text, digest bytea, scopes text[],"
    " allowed_ips text[], last_used_at timestamptz, expires_at timestamptz, revoked_at timestamptz, suspended boolean,"
    " app_found boolean, app_environment text, clock_offset_ms bigint, api_limit integer, hot_limit integer,"
    " pepper bytea, tenant_key_id uuid, tenant_key bytea"
)
LIVE = "s.app_id is null and s.kind = 'pepper' and s.retired_at is null"
# A key from before this column was made with the one pepper that there was then.
ITS_OWN = (
    "s.app_id is null and s.kind = 'pepper'"
    " and (s.id = k.pepper_id or (k.pepper_id is null and s.retired_at is null))"
)
LAST = "s.wrapped, y.id, y.wrapped"


def with_its_own_pepper(statement):
    """Return the look-up with the pepper of the key, and whether that one was replaced."""
    assert statement.count(LIVE) == statement.count(LAST) == 1
    return statement.replace(LIVE, ITS_OWN).replace(LAST, f"{LAST}, s.retired_at is not null")


class Migration(migrations.Migration):
    dependencies = [("apikeys", "0006_key_suspension"), ("kernel", "0002_walls")]

    operations = [
        migrations.AddField("apikey", "pepper_id", models.UUIDField(null=True)),
        migrations.RunSQL("drop function lookup.api_key(text, uuid)"),
        LookupFunction(
            SIGNATURE,
            f"table ({COLUMNS}, pepper_replaced boolean)",
            with_its_own_pepper(BEFORE.with_keys_own(WHOLE.FIND)),
        ),
    ]
