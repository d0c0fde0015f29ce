"""The call that proves a key and counts its event answers one text: a client reads that sooner than 17 columns."""

from django.db import migrations

TRACK_PROVED = """
-- Proves and counts a key as `apikeys_authorise` does, commits that, and counts the event by `usage_count` where the
-- key may do so; otherwise nothing was counted. The commit between the two lets go of the key's bucket, which every
-- call of the key waits for, before this one waits for the disk. So it is a procedure, and runs in no transaction of
-- its caller's. `answer` is a JSON list: what the key's proof answered, then, where an event was looked at, what
-- `usage_count` answered.
create procedure usage_track_proved(p_lookup text, p_digest bytea, p_app uuid, p_moment timestamptz, p_scope text,
  p_customer uuid, p_metric text, p_quantity bigint, p_key bytea, inout answer text default null)
language plpgsql as $$
declare
  k record;
  c record;
begin
  k := apikeys_authorise(p_lookup, p_digest, p_app, p_moment);
  if k.outcome <> 'ok' or not k.scopes && array[p_scope, '*'] then
    answer := json_build_array(k.outcome, k.tenant_id, k.app_id, k.scopes, k.clock_offset_ms, k.hot_limit,
      k.remaining, k.reset_ms);
    return;
  end if;
  commit;
  c := usage_count(k.tenant_id, k.app_id, p_customer, p_metric, p_quantity, p_key,
    p_moment + k.clock_offset_ms * interval '1 millisecond');
  answer := json_build_array(k.outcome, k.tenant_id, k.app_id, k.scopes, k.clock_offset_ms, k.hot_limit,
    k.remaining, k.reset_ms, c.outcome, c.used, c.allowed, c.mode, c.starts, c.ends, c.held, c.windows::text,
    c.limited_by);
end $$;
"""


class Migration(migrations.Migration):
    dependencies = [("usage", "0015_count_many"), ("apikeys", "0008_hot_key_alone")]

    # `usage_track_keyed` stays: in the middle of a rollout processes of the release before still call it.
    operations = [migrations.RunSQL(TRACK_PROVED, "drop procedure usage_track_proved")]
