"""A plan's subscribers on their way to its newest version, over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from billing.serializers.migrations import (
    MigrationInput,
    MigrationOutput,
    MigrationPreviewOutput,
    MigrationPreviewQuery,
)
from billing.services import migrations
from stackbe.kernel.api import ApiView, operation
from stackbe.kernel.serializers import PageQuery

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.response import Response


class PlanMigrationPreview(ApiView):
    """What a migration would do."""

    @operation(query=MigrationPreviewQuery, output=MigrationPreviewOutput, many=True)
    def get(self, request: Request, plan_id: str) -> Response:
        """Show who has an older version of a plan, what each pays now, and what each would pay in the newest."""
        asked = self.query()
        plan = migrations.migratable_plan(self.scope, plan_id, asked.get("from_version"))
        rows = migrations.older_subscribers(self.scope, plan, asked.get("from_version"))
        return self.page(rows, asked, when=asked["when"])


class PlanMigrations(ApiView):
    """All migrations of a plan."""

    @operation(query=PageQuery, output=MigrationOutput, many=True)
    def get(self, request: Request, plan_id: str) -> Response:
        """List a plan's migrations, newest first."""
        return self.page(migrations.migrations_of(self.scope, plan_id), self.query())

    @operation(input=MigrationInput, output=MigrationOutput, status=201)
    def post(self, request: Request, plan_id: str) -> Response:
        """Migrate a plan's subscribers to its newest version, in the background and one after the other."""
        return self.reply(migrations.start_migration(self.scope, plan_id, **self.parse()))


class OnePlanMigration(ApiView):
    """One migration."""

    @operation(output=MigrationOutput)
    def get(self, request: Request, plan_id: str, migration_id: str) -> Response:
        """Show how far a migration has come, and who stays where they are."""
        return self.reply(migrations.find_migration(self.scope, plan_id, migration_id))

    @operation(output=MigrationOutput)
    def delete(self, request: Request, plan_id: str, migration_id: str) -> Response:
        """Stop a migration. Who was moved stays moved."""
        return self.reply(migrations.stop_migration(self.scope, plan_id, migration_id))
