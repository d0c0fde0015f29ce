"""A key is proven and an ordinary event counted in one call, which is two transactions as before."""

from django.db import migrations

TRACK_KEYED = """
-- Proves and counts a key as `apikeys_authorise` does, commits that, and counts the event by `usage_count` where the
-- key may do so; otherwise `outcome` stays null and nothing was counted. The commit between the two lets go of the
-- key's bucket, which every call of the key waits for, before this one waits for the disk. So it is a procedure, and
-- runs in no transaction of its caller's.
create procedure usage_track_keyed(p_lookup text, p_digest bytea, p_app uuid, p_moment timestamptz, p_scope text,
  p_customer uuid, p_metric text, p_quantity bigint, p_key bytea,
  inout key_outcome text default null, inout tenant_id uuid default null, inout app_id uuid default null,
  inout scopes text default null, inout clock_offset_ms bigint default null, inout hot_limit integer default null,
  inout remaining integer default null, inout reset_ms bigint default null,
  inout outcome text default null, inout used bigint default null, inout allowed bigint default null,
  inout mode text default null, inout starts timestamptz default null, inout ends timestamptz default null,
  inout held bigint default null, inout windows text default null, inout limited_by text default null)
language plpgsql as $$
declare
  k record;
  c record;
begin
  k := apikeys_authorise(p_lookup, p_digest, p_app, p_moment);
  key_outcome := k.outcome;
  tenant_id := k.tenant_id;
  app_id := k.app_id;
  scopes := array_to_string(k.scopes, ' ');
  clock_offset_ms := k.clock_offset_ms;
  hot_limit := k.hot_limit;
  remaining := k.remaining;
  reset_ms := k.reset_ms;
  if k.outcome <> 'ok' or not k.scopes && array[p_scope, '*'] then return; end if;
  commit;
  c := usage_count(k.tenant_id, k.app_id, p_customer, p_metric, p_quantity, p_key,
    p_moment + k.clock_offset_ms * interval '1 millisecond');
  outcome := c.outcome;
  used := c.used;
  allowed := c.allowed;
  mode := c.mode;
  starts := c.starts;
  ends := c.ends;
  held := c.held;
  windows := c.windows::text;
  limited_by := c.limited_by;
end $$;
"""


class Migration(migrations.Migration):
    dependencies = [("apikeys", "0007_key_pepper"), ("usage", "0011_purchased_credits")]

    operations = [migrations.RunSQL(TRACK_KEYED, "drop procedure usage_track_keyed")]
