"""A correction takes back what was counted last and says what is left; a period only looked at still rolls over."""

from django.db import migrations

# Lowered by `sync`, the hour in hand could fall below nothing: its window then let more through than its limit, and
# a chart had a bar below zero.
TAKE_BACK = (
    "usage_track",
    """  if hour = c.hour_start then
    c.hour_used := case when adds""",
    """  if adds and part < 0 then
    -- A correction takes back what was counted last: no hour has seen less than nothing.
    owed := -part;
    part := least(owed, greatest(0, c.hour_used));
    c.hour_used := c.hour_used - part;
    c.day_used := c.day_used - part;
    owed := owed - part;
    for g in
      select b.starts, b.used from usage_bucket b
      where b.customer_id = p_customer and b.metric_id = m.id and b.period_start = usage_track.starts and b.used > 0
      order by b.starts desc
    loop
      exit when owed = 0;
      part := least(owed, g.used);
      update usage_bucket b set used = b.used - part
      where b.customer_id = p_customer and b.metric_id = m.id and b.period_start = usage_track.starts
        and b.starts = g.starts;
      if date_trunc('day', g.starts, 'UTC') = date_trunc('day', c.hour_start, 'UTC') then
        c.day_used := c.day_used - part;
      end if;
      owed := owed - part;
    end loop;
    part := 0;
  end if;
  if hour = c.hour_start then
    c.hour_used := case when adds""",
)
# What was given back to a credit that has expired cannot be used, and stood in the answer's limit all the same.
GIVE_BACK = (
    "usage_track",
    """        select u.id, u.credit_id, u.quantity from usage_credituse u join usage_credit x on x.id = u.credit_id""",
    """        select u.id, u.credit_id, u.quantity, coalesce(x.expires_at <= p_now, false) as over
        from usage_credituse u join usage_credit x on x.id = u.credit_id""",
)
NOT_LEFT = (
    "usage_track",
    """        c.credited := c.credited - part;
""",
    """        c.credited := c.credited - part;
        if g.over then allowed := allowed - part; end if;
""",
)
# A credit that was granted after the wallet was looked at was spent with the rest, though its place in the order of
# locks was over: two counts could wait for each other. It is for the next count.
HAVE = (
    "usage_track",
    "  wallet bigint := 0;\n",
    "  wallet bigint := 0;\n  in_hand uuid[];\n",
)
SPEND = (
    "usage_track",
    """        select x.id, x.remaining from usage_credit x
        where x.customer_id = p_customer and x.metric_id = m.id and x.remaining > 0
          and coalesce(x.expires_at > p_now, true)
        order by x.priority, x.expires_at nulls last, x.id
      loop""",
    """        select x.id, x.remaining from usage_credit x where x.id = any(in_hand)
        order by x.priority, x.expires_at nulls last, x.id
      loop""",
)
LOOK = (
    "usage_track",
    """    select coalesce(sum(v.remaining), 0) into wallet from (
      select x.remaining from usage_credit x""",
    """    select coalesce(sum(v.remaining), 0), array_agg(v.id) into wallet, in_hand from (
      select x.id, x.remaining from usage_credit x""",
)
# A counter that a hold or a refusal opened did not know what its period includes, and so had nothing left of it.
KNOW = (
    "usage_open",
    """used,
    credited, carried, passed_on, held, hour_used, day_used, reached, updated_at)
  values (gen_random_uuid(), p_tenant, p_app, p_customer, p_metric, p_starts, p_ends, 0, 0, moves,""",
    """used,
    included, credited, carried, passed_on, held, hour_used, day_used, reached, updated_at)
  values (gen_random_uuid(), p_tenant, p_app, p_customer, p_metric, p_starts, p_ends, 0,
    (p_terms ->> 'included')::bigint, 0, moves,""",
)
EDITS = (TAKE_BACK, GIVE_BACK, NOT_LEFT, HAVE, SPEND, LOOK, KNOW)


def edited(function, old, new):
    """Return the SQL that changes a piece of a function, and stops where that does not stand there once."""
    return f"""
do $do$
declare
  found text := pg_get_functiondef('{function}'::regproc);
begin
  if length(found) - length(replace(found, $a${old}$a$, '')) <> length($a${old}$a$) then
    raise '{function} has another text';
  end if;
  execute replace(found, $a${old}$a$, $a${new}$a$);
end $do$;
"""


def reverted(function, old, new):
    """Return the SQL that takes such a change back."""
    return edited(function, new, old)


class Migration(migrations.Migration):
    dependencies = [("usage", "0016_answer_as_text")]

    operations = [migrations.RunSQL(edited(*each), reverted(*each)) for each in EDITS]
