"""The periods around a plan's known one keep the day that it was bought on, though a month between lacks it."""

from django.db import migrations

# A period that a short month cut (31 January to 28 February, 28 February to 31 March) shows the day at one of its ends
# alone: the end from which the other follows. Whatever lies before and after is counted from that one.
WINDOW = """
create or replace function usage_window(resets text, plan_start timestamptz, plan_end timestamptz, at timestamptz,
  out starts timestamptz, out ends timestamptz) language plpgsql immutable as $$
declare
  months integer;
  first timestamp := plan_start at time zone 'UTC';
  last timestamp := plan_end at time zone 'UTC';
  long interval;
begin
  if resets = 'never' then
    starts := '1970-01-01 00:00:00+00';
  elsif resets = 'day' then
    starts := date_trunc('day', at at time zone 'UTC') at time zone 'UTC';
    ends := starts + interval '1 day';
  elsif resets = 'month' or plan_start is null or plan_end is null or plan_end <= plan_start then
    starts := date_trunc('month', at at time zone 'UTC') at time zone 'UTC';
    ends := ((starts at time zone 'UTC') + interval '1 month') at time zone 'UTC';
  else
    starts := plan_start;
    ends := plan_end;
    if at < ends and at >= starts then return; end if;
    months := round(extract(epoch from plan_end - plan_start) / 2629800);
    long := make_interval(months => months);
    for step in 1..400 loop
      exit when at < ends and at >= starts;
      if at >= ends then
        starts := ends;
        ends := case when months = 0 then ends + (plan_end - plan_start)
          when first + long = last then (first + long * (step + 1)) at time zone 'UTC'
          else (last + long * step) at time zone 'UTC' end;
      else
        ends := starts;
        starts := case when months = 0 then starts - (plan_end - plan_start)
          when last - long = first then (last - long * (step + 1)) at time zone 'UTC'
          else (first - long * step) at time zone 'UTC' end;
      end if;
    end loop;
  end if;
end $$;
"""


class Migration(migrations.Migration):
    """Replace the function; what it answers inside the known period is what it was."""

    dependencies = [("usage", "0009_count")]

    operations = [migrations.RunSQL(WINDOW, migrations.RunSQL.noop)]
