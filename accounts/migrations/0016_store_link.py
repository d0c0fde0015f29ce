"""One call that writes all rows of a sign-in link."""

from django.db import migrations

STORE = """
-- The link, its mail's row, the newest few of its address, and the worker's job: all or nothing. Row-level security
-- applies: it runs as its caller, with the tenant that its caller has proved.
create function accounts_store_link(p_tenant uuid, p_app uuid, p_link uuid, p_email bytea, p_index bytea,
  p_redirect text, p_organization uuid, p_moment timestamptz, p_expires timestamptz, p_most integer,
  p_queue text, p_task text, p_priority integer, p_arguments text) returns boolean
language plpgsql as $$
begin
  perform set_config('stackbe.tenant', p_tenant::text, true);
  insert into accounts_magiclink (id, tenant_id, app_id, email, email_index, tries_left, redirect_url,
    organization_id, created_at, expires_at)
  values (p_link, p_tenant, p_app, p_email, p_index, 5, p_redirect, p_organization, p_moment, p_expires);
  insert into mail_outgoingmail (id, tenant_id, app_id, kind, address_index, status, attempts, said, asked_at)
  values (p_link, p_tenant, p_app, 'magic_link', p_index, 'waiting', 0, '', p_moment);
  -- Askers for one address wait for each other here. The next statement looks once the lock is held, so that it
  -- sees what those before have left.
  perform pg_advisory_xact_lock(hashtextextended(p_app || encode(p_index, 'hex'), 12));
  delete from accounts_magiclink where id in (select m.id from accounts_magiclink m
    where m.app_id = p_app and m.email_index = p_index order by m.id desc offset p_most);
  perform procrastinate_defer_jobs_v1(array[row(p_queue, p_task, p_priority, null, null, p_arguments::jsonb, null)
    ::procrastinate_job_to_defer_v1]);
  return true;
end $$;
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0015_session_shown"), ("mail", "0003_outgoing")]

    operations = [migrations.RunSQL(STORE, "drop function accounts_store_link")]
