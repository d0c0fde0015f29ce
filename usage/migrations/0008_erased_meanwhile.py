"""Nothing is counted for a customer who is erased in the same moment."""

from django.db import migrations

# The step finds its counter, or holds the customer before it opens one. Erasing takes the customer first and then
# every counter: it waits for what is being counted and takes it along, and what comes after it finds nobody.
EDITS = (
    (
        """  if p_key is not null and (p_at < starts + interval '25 hours' or p_at > ends - interval '25 hours') then
    perform from accounts_customer x where x.id = p_customer for no key update;
  end if;
""",
        """  if p_key is not null and (p_at < starts + interval '25 hours' or p_at > ends - interval '25 hours') then
    perform from accounts_customer x where x.id = p_customer and x.deleted_at is null for no key update;
    if not found then outcome := 'no_customer'; return; end if;
    opens := true;
  else
    perform from usage_counter x
    where x.customer_id = p_customer and x.metric_id = m.id and x.period_start = usage_track.starts;
    if not found then
      perform from accounts_customer x where x.id = p_customer and x.deleted_at is null for share;
      if not found then outcome := 'no_customer'; return; end if;
      opens := true;
    end if;
  end if;
""",
    ),
    (
        """    exit when found;
    perform usage_open(""",
        """    exit when found or not opens;
    perform usage_open(""",
    ),
    (
        "outcome := 'no_customer'; return; end if;  -- erased between the two looks",
        "outcome := 'no_customer'; return; end if;  -- erased since it was found",
    ),
    (
        """  step integer;
begin""",
        """  step integer;
  opens boolean := false;
begin""",
    ),
)


def edited(edits):
    """Return the SQL that changes pieces of the step, and stops where one of them is not there once."""
    steps = "".join(
        f"""
  if length(found) - length(replace(found, $a${old}$a$, '')) <> length($a${old}$a$) then
    raise 'usage_track has another text';
  end if;
  found := replace(found, $a${old}$a$, $a${new}$a$);"""
        for old, new in edits
    )
    return f"""
do $do$
declare
  found text := pg_get_functiondef('usage_track'::regproc);
begin{steps}
  execute found;
end $do$;
"""


class Migration(migrations.Migration):
    dependencies = [("usage", "0007_steps")]

    operations = [migrations.RunSQL(edited(EDITS), edited([(new, old) for old, new in EDITS]))]
