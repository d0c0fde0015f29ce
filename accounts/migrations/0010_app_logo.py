"""Our copies of apps' logos."""

import django.db.models.manager
import stackbe.kernel.clock
import stackbe.kernel.ids
from django.db import migrations, models

from stackbe.kernel.walls import LookupFunction, TenantWall

LOGO = """
  select l.digest::text from accounts_applogo l where l.app_id = $1 and l.source_url = $2 and l.content is not null
"""


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0009_customer_files'),
    ]

    operations = [
        migrations.CreateModel(
            name='AppLogo',
            fields=[
                ('id', models.UUIDField(default=stackbe.kernel.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('tenant_id', models.UUIDField(editable=False)),
                ('app_id', models.UUIDField(editable=False)),
                ('source_url', models.CharField(max_length=2048)),
                ('content', models.BinaryField(null=True)),
                ('content_type', models.CharField(blank=True, max_length=20)),
                ('digest', models.CharField(blank=True, max_length=64)),
                ('trouble', models.CharField(blank=True, max_length=200)),
                ('fetched_at', models.DateTimeField(default=stackbe.kernel.clock.wall_clock)),
            ],
            options={
                'abstract': False,
                'base_manager_name': 'unscoped',
                'default_manager_name': 'unscoped',
                'constraints': [models.UniqueConstraint(fields=('app_id',), name='one_logo_per_app')],
            },
            managers=[
                ('unscoped', django.db.models.manager.Manager()),
            ],
        ),
        TenantWall("accounts_applogo", app_key=True, lookup=True),
        LookupFunction("logo_digest(app_id uuid, url text)", "text", LOGO),
    ]
