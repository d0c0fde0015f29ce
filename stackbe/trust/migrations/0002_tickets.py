"""What is written on the contact page, and what staff answered."""

import django.db.models.deletion
import django.db.models.manager
import stackbe.kernel.clock
import stackbe.kernel.ids
from django.db import migrations, models
from stackbe.kernel.walls import PlatformTable


class Migration(migrations.Migration):

    dependencies = [
        ('trust', '0001_backup_runs'),
    ]

    operations = [
        migrations.CreateModel(
            name='Ticket',
            fields=[
                ('id', models.UUIDField(default=stackbe.kernel.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('subject', models.CharField(choices=[('security', 'Security'), ('privacy', 'Privacy'), ('billing', 'Billing'), ('other', 'Something else')], max_length=10)),
                ('email', models.BinaryField()),
                ('name', models.BinaryField(null=True)),
                ('message', models.BinaryField()),
                ('address_index', models.BinaryField()),
                ('opened_at', models.DateTimeField(default=stackbe.kernel.clock.wall_clock)),
                ('answered_at', models.DateTimeField(null=True)),
                ('escalated_at', models.DateTimeField(null=True)),
                ('closed_at', models.DateTimeField(null=True)),
            ],
            options={
                'base_manager_name': 'unscoped',
                'default_manager_name': 'unscoped',
                'indexes': [models.Index(condition=models.Q(('answered_at__isnull', True)), fields=['opened_at'], name='ticket_unanswered'), models.Index(fields=['address_index'], name='ticket_of_address')],
            },
            managers=[
                ('unscoped', django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name='TicketAnswer',
            fields=[
                ('id', models.UUIDField(default=stackbe.kernel.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('author_id', models.UUIDField()),
                ('text', models.BinaryField()),
                ('answered_at', models.DateTimeField(default=stackbe.kernel.clock.wall_clock)),
                ('ticket', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='answers', to='trust.ticket')),
            ],
            options={
                'base_manager_name': 'unscoped',
                'default_manager_name': 'unscoped',
            },
            managers=[
                ('unscoped', django.db.models.manager.Manager()),
            ],
        ),
        PlatformTable("trust_ticket", "trust_ticketanswer", rights="select, insert, update"),
        # The worker deletes what is kept no longer; the processes that serve requests do not.
        migrations.RunSQL(
            "grant delete on trust_ticket, trust_ticketanswer to stackbe_worker", migrations.RunSQL.noop
        ),
    ]
