"""What became of each mail, and addresses that take none."""

import django.db.models.manager
import stackbe.kernel.clock
import stackbe.kernel.ids
from django.db import migrations, models

from stackbe.kernel.walls import LookupFunction, TenantWall

OUTGOING_MAIL = """
  select m.id, m.tenant_id, m.app_id from mail_outgoingmail m where m.provider_id = $1 order by m.id desc limit 1
"""


class Migration(migrations.Migration):

    dependencies = [
        ('mail', '0002_walls'),
    ]

    operations = [
        migrations.CreateModel(
            name='BouncedAddress',
            fields=[
                ('id', models.UUIDField(default=stackbe.kernel.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('tenant_id', models.UUIDField(editable=False)),
                ('app_id', models.UUIDField(null=True)),
                ('address_index', models.BinaryField()),
                ('reason', models.CharField(choices=[('bounced', 'the mail came back'), ('complained', 'the addressee marked it as spam'), ('refused', 'the mail server refused the address')], max_length=10)),
                ('said', models.CharField(blank=True, max_length=40)),
                ('bounced_at', models.DateTimeField(default=stackbe.kernel.clock.wall_clock)),
            ],
            options={
                'abstract': False,
                'base_manager_name': 'unscoped',
                'default_manager_name': 'unscoped',
                'constraints': [models.UniqueConstraint(fields=('tenant_id', 'app_id', 'address_index'), name='one_bounce_per_address', nulls_distinct=False)],
            },
            managers=[
                ('unscoped', django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name='OutgoingMail',
            fields=[
                ('id', models.UUIDField(default=stackbe.kernel.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('tenant_id', models.UUIDField(editable=False)),
                ('app_id', models.UUIDField(null=True)),
                ('kind', models.CharField(max_length=20)),
                ('address_index', models.BinaryField()),
                ('status', models.CharField(choices=[('waiting', 'waiting'), ('sent', 'sent'), ('refused', 'refused by the mail server'), ('bounced', 'bounced'), ('skipped', 'not sent: earlier mail to this address bounced'), ('late', 'not sent: its link had expired or was replaced')], default='waiting', max_length=10)),
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('said', models.CharField(blank=True, max_length=40)),
                ('provider_id', models.CharField(max_length=255, null=True)),
                ('asked_at', models.DateTimeField(default=stackbe.kernel.clock.wall_clock)),
                ('sent_at', models.DateTimeField(null=True)),
            ],
            options={
                'abstract': False,
                'base_manager_name': 'unscoped',
                'default_manager_name': 'unscoped',
                'indexes': [models.Index(fields=['tenant_id', 'app_id', 'address_index', '-id'], name='outgoing_of_address'), models.Index(condition=models.Q(('status', 'waiting')), fields=['tenant_id', 'app_id', 'asked_at'], name='outgoing_waiting'), models.Index(fields=['provider_id'], name='outgoing_provider')],
            },
            managers=[
                ('unscoped', django.db.models.manager.Manager()),
            ],
        ),
        TenantWall("mail_outgoingmail", lookup=True),
        TenantWall("mail_bouncedaddress"),
        LookupFunction(
            "outgoing_mail(provider_id text)",
            "table (id uuid, tenant_id uuid, app_id uuid)",
            OUTGOING_MAIL,
        ),
    ]
