"""Rights on the framework's, the queue's and the mirror's tables, which name no tenant."""

from django.db import migrations

RIGHTS = """
do $$
declare t record;
begin
  for t in
    select c.oid::regclass as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'public' and c.relkind in ('r', 'p')
      and (c.relname like 'procrastinate\\_%' or c.relname like 'djstripe\\_%')
  loop
    execute format('grant select, insert, update, delete on %s to stackbe_web, stackbe_worker', t.name);
    execute format('grant select on %s to stackbe_staff', t.name);
  end loop;
end $$;
grant insert, update on procrastinate_jobs, procrastinate_events to stackbe_staff;
grant usage, select on all sequences in schema public to stackbe_web, stackbe_worker, stackbe_staff;
grant select on django_content_type, auth_permission, auth_group, auth_group_permissions, django_migrations
  to stackbe_web, stackbe_worker, stackbe_staff;
grant select, insert on django_admin_log to stackbe_web, stackbe_staff;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("admin", "0003_logentry_add_action_flag_choices"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("djstripe", "0001_initial"),
        ("procrastinate", "__latest__"),
        ("kernel", "0002_walls"),
    ]

    operations = [migrations.RunSQL(RIGHTS, migrations.RunSQL.noop)]
