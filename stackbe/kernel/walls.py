"""Migration operations that put row-level security around tables.

Wall 3 of 3. The roles that serve requests and work jobs own nothing and bypass nothing, so a
forgotten filter yields no foreign row. The setting reads as '' (not NULL) after a transaction,
hence NULLIF; the sub-select lets PostgreSQL evaluate it once per query.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.migrations.operations.base import Operation

from stackbe.kernel.ids import NIL

if TYPE_CHECKING:
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor
    from django.db.migrations.state import ProjectState

HERE = "(select nullif(current_setting('stackbe.tenant', true), '')::uuid)"


class _Sql(Operation):
    reversible = True
    reduces_to_sql = True
    elidable = False

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """Leave the models' state alone: this is about rights."""

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Run the statements."""
        for statement in self.forwards():
            schema_editor.execute(statement)

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Run the statements that undo it."""
        for statement in self.backwards():
            schema_editor.execute(statement)

    def forwards(self) -> list[str]:
        raise NotImplementedError  # each operation below says its own

    def backwards(self) -> list[str]:
        return []


class TenantWall(_Sql):
    """Let each role see a table's rows of the current tenant only; staff's role reads all tenants' and writes none.

    `queue`: the worker sees all tenants' rows (job, inbox, outbox and delivery tables only).
    `lookup`: the SECURITY DEFINER functions may read it before the tenant is known.
    `platform_rows`: rows of the platform are visible to all (keys of developers' identities).
    `append_only`: no role may change or delete a row once written.
    `column`: the tenant column (`id` on the tenant's own table).
    `app_key`: add the composite foreign key to the app, so that no row can name another tenant's.
    """

    def __init__(
        self,
        table: str,
        *,
        queue: bool = False,
        lookup: bool = False,
        platform_rows: bool = False,
        append_only: bool = False,
        app_key: bool = False,
        column: str = "tenant_id",
    ) -> None:
        """Name the table and what departs from the plain wall."""
        self.table, self.column = table, column
        self.queue, self.lookup = queue, lookup
        self.platform_rows, self.append_only, self.app_key = platform_rows, append_only, app_key

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        """Return what a migration file would write."""
        flags = ("queue", "lookup", "platform_rows", "append_only", "app_key")
        kwargs: dict[str, Any] = {name: True for name in flags if getattr(self, name)}
        if self.column != "tenant_id":
            kwargs["column"] = self.column
        return type(self).__name__, [self.table], kwargs

    def forwards(self) -> list[str]:
        """Return the policies and grants."""
        table, mine = self.table, f"{self.column} = {HERE}"
        if self.platform_rows:
            mine = f"({mine} or {self.column} = '{NIL}'::uuid)"
        rights = "select, insert" if self.append_only else "select, insert, update, delete"
        statements = [
            f"alter table {table} enable row level security",
            f"alter table {table} force row level security",
            f"create policy tenant_wall on {table} using ({mine}) with check ({mine})",
            f"create policy staff_reads on {table} for select to stackbe_staff using (true)",
            f"grant {rights} on {table} to stackbe_web, stackbe_worker",
            f"grant select on {table} to stackbe_staff",
        ]
        if self.queue:
            statements.append(f"create policy worker_queue on {table} to stackbe_worker using (true) with check (true)")
        if self.lookup:
            statements += [
                f"create policy lookup_reads on {table} for select to stackbe_lookup using (true)",
                f"grant select on {table} to stackbe_lookup",
            ]
        if self.append_only:
            statements.append(
                f"create trigger append_only before update or delete or truncate on {table}"
                " for each statement execute function kernel_refuse_change()"
            )
        if self.app_key:
            statements.append(
                f"alter table {table} add constraint {table}_app_of_tenant"
                " foreign key (tenant_id, app_id) references accounts_app (tenant_id, id)"
                " deferrable initially deferred"
            )
        return statements

    def backwards(self) -> list[str]:
        """Take the wall down again."""
        statements = [f"drop policy tenant_wall on {self.table}"]
        statements.append(f"drop policy staff_reads on {self.table}")
        statements.append(f"alter table {self.table} no force row level security")
        statements.append(f"alter table {self.table} disable row level security")
        return statements

    def describe(self) -> str:
        """Say it in the output of migrate."""
        return f"Row-level security on {self.table}"


class PlatformTable(_Sql):
    """Grant rights on tables that belong to no tenant (identities, framework tables)."""

    def __init__(self, *tables: str, rights: str = "select, insert, update, delete", staff: str = "select") -> None:
        """Name the tables, what web and worker may do, and what staff may."""
        self.tables, self.rights, self.staff = tables, rights, staff

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        """Return what a migration file would write."""
        return type(self).__name__, list(self.tables), {"rights": self.rights, "staff": self.staff}

    def forwards(self) -> list[str]:
        """Return the grants."""
        statements = [f"grant {self.rights} on {t} to stackbe_web, stackbe_worker" for t in self.tables]
        return statements + [f"grant {self.staff} on {t} to stackbe_staff" for t in self.tables]

    def describe(self) -> str:
        """Say it in the output of migrate."""
        return f"Rights on {', '.join(self.tables)}"


class LookupFunction(_Sql):
    """A SECURITY DEFINER function that finds a tenant before one is known.

    It runs as `stackbe_lookup`, which may read the tables walled with `lookup=True` and nothing
    else, with a fixed search_path. `body` is one SQL statement; `also_reads` grants more tables.
    """

    def __init__(self, signature: str, returns: str, body: str, *, volatile: bool = False) -> None:
        """Give `name(arg type, …)`, the return type and the statement; `volatile` if it writes."""
        self.signature, self.returns, self.body = signature, returns, body
        self.volatile = volatile

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        """Return what a migration file would write."""
        kwargs = {"volatile": True} if self.volatile else {}
        return type(self).__name__, [self.signature, self.returns, self.body], kwargs

    def forwards(self) -> list[str]:
        """Return the definition, who may call it, and last its owner: from then on rights are that one's to give."""
        name = f"lookup.{self.signature}"
        arguments = self.signature[self.signature.index("(") :]
        bare = f"lookup.{self.signature[: self.signature.index('(')]}" + _types(arguments)
        return [
            (
                f"create or replace function {name} returns {self.returns} language sql"
                f" {'volatile' if self.volatile else 'stable'} security definer"
                " set search_path = pg_catalog, public"
                f" as $body${self.body}$body$"
            ),
            f"revoke all on function {bare} from public",
            f"grant execute on function {bare} to stackbe_web, stackbe_worker, stackbe_staff",
            f"alter function {bare} owner to stackbe_lookup",
        ]

    def describe(self) -> str:
        """Say it in the output of migrate."""
        return f"Look-up function {self.signature}"


class _AsLookupOwner(_Sql):
    """Runs its statements as the owner of the look-ups, then is again who migrates."""

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Do what only the owner may."""
        with schema_editor.connection.cursor() as cursor:
            cursor.execute("select quote_ident(current_user)")
            (migrator,) = cursor.fetchone()
        schema_editor.execute("set local role stackbe_lookup")
        for statement in self.forwards():
            schema_editor.execute(statement)
        schema_editor.execute(f"set local role {migrator}")


class ReplacedLookup(_AsLookupOwner, LookupFunction):
    """Another statement for a look-up that is there already, which only its owner may replace.

    Signature and return type stay; whoever calls it in the middle of a rollout sees one or the other.
    """

    def forwards(self) -> list[str]:
        """Return the definition; owner and rights stay."""
        return super().forwards()[:1]


class LookupRights(_AsLookupOwner):
    """Give or take rights on look-ups that are there already."""

    def __init__(self, *statements: str) -> None:
        """Take the statements that say it."""
        self.statements = statements

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        """Return what a migration file would write."""
        return type(self).__name__, list(self.statements), {}

    def forwards(self) -> list[str]:
        """Return them."""
        return list(self.statements)

    def describe(self) -> str:
        """Say it in the output of migrate."""
        return "Rights on look-up functions"


def _types(arguments: str) -> str:
    """Return `(uuid, text)` for `(app uuid, name text)`."""
    inner = arguments.strip()[1:-1].strip()
    if not inner:
        return "()"
    return "(" + ", ".join(part.strip().split(" ", 1)[1] for part in inner.split(",")) + ")"


class MonthlyPartitions(_Sql):
    """Make a table's first partitions; `kernel_make_partitions` adds the coming months'.

    `key` is the type of the column it is partitioned by: `uuid` for a UUIDv7 primary key, whose
    first bits are the time (so the key alone is unique and names its partition), or `timestamptz`.
    """

    def __init__(self, table: str, key: str = "uuid") -> None:
        """Name a table that was created with `partition by range (…)`."""
        self.table, self.key = table, key

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        """Return what a migration file would write."""
        return type(self).__name__, [self.table, self.key], {}

    def forwards(self) -> list[str]:
        """Return the call that makes this month's partition and its neighbours'."""
        return [
            f"select kernel_keep_partitioned('{self.table}', '{self.key}')",
            f"create table {self.table}_default partition of {self.table} default",
            "select kernel_make_partitions()",
        ]

    def describe(self) -> str:
        """Say it in the output of migrate."""
        return f"Partitions of {self.table}"
