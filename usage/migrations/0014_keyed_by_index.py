"""Events are counted by indexes alone, whatever the planner believes about tables that are still empty."""

from django.db import migrations

# A month's partitions are made ahead. Where one was analyzed while it was empty, reading it whole looks cheapest, and
# a connection that planned it so would go on when the month has come and the rows with it, until the next analysis.
# One plan for all calls: with the choice left to it, the planner would make another for each.
BY_INDEX = """
alter function usage_count set enable_seqscan = off set plan_cache_mode = force_generic_plan;
alter function usage_track set enable_seqscan = off set plan_cache_mode = force_generic_plan;
"""
AS_BEFORE = """
alter function usage_count reset all;
alter function usage_track reset all;
"""


class Migration(migrations.Migration):
    dependencies = [("usage", "0013_revoked_credits")]

    operations = [migrations.RunSQL(BY_INDEX, AS_BEFORE)]
