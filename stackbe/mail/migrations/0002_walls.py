"""Rights on the development inbox, which belongs to no tenant."""

from django.db import migrations

from stackbe.kernel.walls import PlatformTable


class Migration(migrations.Migration):
    dependencies = [("mail", "0001_initial"), ("kernel", "0002_walls")]

    operations = [PlatformTable("mail_inboxmessage")]
