"""Where a customer's invoices go, if not to the address that signs in."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0007_organizations")]

    operations = [
        migrations.AddField("customer", "billing_email", models.BinaryField(editable=False, null=True)),
    ]
