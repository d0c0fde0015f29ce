"""For each promise of the trust page, the controls behind it taken out: its check must then be red for each."""

from __future__ import annotations

from dataclasses import dataclass, field

from stackbe.trust.lock import LOCKED_ON
from tests.sabotage.shapes import ROOT, Edit

SECRET_KEY = "ofAProductionLikeStartInTheTestsAlone-0123456789-0123456789-0123456789"  # pragma: allowlist secret
VULNERABLE = "{advisories}/vulnerable"

# A thief of the server edits the log, or cuts off its end, with the triggers out of the way meanwhile.
LOG = ("kernel_auditevent", "kernel_auditseal")
ALONE = "".join(f"alter table {table} disable trigger append_only; " for table in LOG)
GUARDED = "".join(f"alter table {table} enable trigger append_only; " for table in LOG)
CHANGED = f"{ALONE} update kernel_auditevent set action = {{}}; {GUARDED}"
CUT = f"""{ALONE}
create table cut_seal as select * from kernel_auditseal s
  where sequence = (select max(sequence) from kernel_auditseal l where l.tenant_id = s.tenant_id);
create table cut_event as select * from kernel_auditevent where id in (select audit_id from cut_seal);
delete from kernel_auditseal where id in (select id from cut_seal);
delete from kernel_auditevent where id in (select id from cut_event); {GUARDED}"""
UNCUT = """
insert into kernel_auditevent select * from cut_event; insert into kernel_auditseal select * from cut_seal;
drop table cut_event; drop table cut_seal"""


@dataclass(frozen=True, slots=True)
class Undone:
    """A promise, what is taken from under it, and how: by edits, by SQL of the database's superuser, or by a variable.

    `mend` undoes the SQL. `served` says that the pages must be served from the edited copy too, and with the variables.
    """

    promise: str
    removes: str
    edits: tuple[Edit, ...] = ()
    sql: str = ""
    mend: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    served: bool = False

    @property
    def name(self) -> str:
        """Return what a run of it is called."""
        return f"{self.promise}-{'-'.join(self.removes.replace(',', '').split())}"

    def applied(self, root=ROOT) -> dict[str, str]:
        """Return each edited file's new content by its path."""
        files: dict[str, str] = {}
        for edit in self.edits:
            files[edit.path] = edit.applied(files.get(edit.path) or (root / edit.path).read_text(encoding="utf-8"))
        return files


def pin(name: str, *, hashed: bool) -> str:
    """Return what a package's pin in the lock says: its first line, or all of it that says which files it is."""
    lock = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    start = lock.index(f"\n{name}==") + 1
    return lock[start : lock.index("    # via", start) if hashed else lock.index(" ", start)]


def edited(promise: str, removes: str, path: str, text: str, instead: str, *, served: bool = False) -> Undone:
    return Undone(promise, removes, (Edit(path, text, instead),), served=served)


PROMISES = (
    Undone(
        "E1",
        "old TLS is refused",
        (
            Edit("stackbe/gunicorn.py", "minimum_version = ssl.TLSVersion.TLSv1_2", "minimum_version = ssl.TLSVersion.TLSv1"),
            Edit("stackbe/gunicorn.py", "    context.set_ciphers(CIPHERS)\n", '    context.set_ciphers("ALL:@SECLEVEL=0")\n'),
        ),
        served=True,
    ),
    edited(
        "E1",
        "weak ciphers are refused",
        "stackbe/gunicorn.py",
        "    context.set_ciphers(CIPHERS)\n",
        '    context.set_ciphers("DEFAULT:@SECLEVEL=0")\n',
        served=True,
    ),
    edited("E2", "HSTS is a year", "stackbe/settings.py", "SECURE_HSTS_SECONDS = 31_536_000", "SECURE_HSTS_SECONDS = 60", served=True),
    edited("E2", "HSTS may be preloaded", "stackbe/settings.py", "SECURE_HSTS_PRELOAD = REQUIRE_HTTPS", "SECURE_HSTS_PRELOAD = False", served=True),
    Undone("E3", "the operator says how the volume is encrypted", environment={"STATED_VOLUME_ENCRYPTION": ""}),
    Undone(
        "E4",
        "names are sealed",
        sql="alter table accounts_customer add column kept bytea;"
        " update accounts_customer set kept = name, name = 'Grace Hopper of the Navy, in the clear'::bytea",
        mend="update accounts_customer set name = kept; alter table accounts_customer drop column kept",
    ),
    Undone(
        "A1",
        "the web role may not change audit rows",
        sql="grant update on kernel_auditevent to stackbe_web",
        mend="revoke update on kernel_auditevent from stackbe_web",
    ),
    Undone(
        "A1",
        "staff's role of the database writes nothing",
        sql="grant update (staff_role) on accounts_user to stackbe_staff",
        mend="revoke update (staff_role) on accounts_user from stackbe_staff",
    ),
    Undone(
        "A1",
        "every tenant's table is walled",
        sql="alter table accounts_customer disable row level security",
        mend="alter table accounts_customer enable row level security",
    ),
    Undone(
        "A2",
        "a trigger refuses changes of the audit log",
        sql="alter table kernel_auditevent disable trigger append_only",
        mend="alter table kernel_auditevent enable trigger append_only",
    ),
    Undone("A2", "the audit log is as it was written", sql=CHANGED.format("action || 'x'"), mend=CHANGED.format("rtrim(action, 'x')")),
    Undone("A2", "the audit log reaches the heads that are kept in an object store", sql=CUT, mend=UNCUT),
    edited("A2", "staff give a second factor", "stackbe/staff/console.py", "request.user.is_staff and entry.is_live(request.session)", "request.user.is_staff"),
    Undone(
        "C1",
        "no text holds a card number",
        sql="update accounts_app set name = 'pay with 4242 4242 4242 4242'",  # pragma: allowlist secret
        mend="update accounts_app set name = 'Acme'",
    ),
    Undone("C2", "payments are Stripe's", environment={"STRIPE_API_BASE": "https://payments.example"}),
    edited(
        "C3",
        "Stripe's signature is verified",
        "billing/stripe/inbox.py",
        "        gateway.verify_signature(body, signature, secrets)\n",
        "        pass\n",
        served=True,
    ),
    Undone(
        "K1",
        "of a key only the prefix is readable",
        sql="update apikeys_apikey set prefix = prefix || 'more' where kind = 'secret'",
        mend="update apikeys_apikey set prefix = left(prefix, 17) where kind = 'secret'",
    ),
    Undone(
        "T1",
        "session tokens live for 15 minutes",
        sql="""update accounts_app set settings = settings || '{"access_token_ttl_minutes": 600}'""",
        mend="update accounts_app set settings = settings - 'access_token_ttl_minutes'",
    ),
    edited(
        "T2",
        "the page of a link keeps it out of referrers",
        "accounts/pages/browser.py",
        'response["Referrer-Policy"] = "no-referrer"',
        'response["Referrer-Policy"] = "unsafe-url"',
        served=True,
    ),
    Undone("D1", "backups are taken", environment={"DATABASE_BACKUP_URL": "postgresql://stackbe_backup@/nowhere"}),
    Undone("D2", "the data lies where it is promised", environment={"STATED_REGION": "eu-central"}),
    Undone("D2", "the privacy policy is published", environment={"OPERATOR_TEXTS": ""}, served=True),
    Undone(
        "W1",
        "there are no passwords",
        sql="alter table accounts_customer add column password_hash text",
        mend="alter table accounts_customer drop column password_hash",
    ),
    edited("S1", "limits are kept", "stackbe/kernel/limits.py", "return Allowance(ok, limit,", "return Allowance(True, limit,"),
    edited("S1", "every URL has a limit", "stackbe/settings.py", '    "stackbe.kernel.visitors.AddressLimit",\n', "", served=True),
    edited(
        "S2",
        "foreign origins are told nothing",
        "accounts/cors.py",
        "            return _may_read(request, origin)\n",
        "            return True\n",
        served=True,
    ),
    edited(
        "S3",
        "unknown fields are refused",
        "stackbe/kernel/serializers.py",
        "unknown = [str(name) for name in data if name not in self.fields]",
        "unknown = []",
        served=True,
    ),
    edited("S3", "exports hold no formulas", "accounts/services/imports_rows.py", "if value.startswith(FORMULA_STARTS) else value", "if value == FORMULA_STARTS else value"),
    edited("S4", "values travel apart", "stackbe/settings.py", '"server_side_binding": True', '"server_side_binding": False'),
    edited(
        "S5",
        "the body is signed",
        "webhooks/signing.py",
        'signed = f"{message_id}.{timestamp}.".encode() + body',
        'signed = f"{message_id}.{timestamp}.".encode()',
    ),
    edited("I1", "no secret is in a file", "docs/architecture.md", "# Architecture\n", f"# Architecture\n\n{SECRET_KEY}\n"),
    Undone(
        "I1",
        "no secret is in a table",
        sql=f"update accounts_app set name = '{SECRET_KEY}'",
        mend="update accounts_app set name = 'Acme'",
    ),
    Undone("I2", "no locked package is known to be vulnerable", environment={"ADVISORY_URL": VULNERABLE}),
    edited("I2", "packages are locked by hash", "requirements.txt", pin("asgiref", hashed=True), f"{pin('asgiref', hashed=False)}\n"),
    edited("I2", "what runs is what is locked", "requirements.txt", pin("asgiref", hashed=False), "asgiref==0.0.1"),
    edited("I2", "the lock is young", LOCKED_ON, (ROOT / LOCKED_ON).read_text(encoding="utf-8"), "2020-01-01\n"),
    edited(
        "R1", "security.txt lasts", "stackbe/trust/views.py", "timedelta(days=180)", "timedelta(days=-1)", served=True
    ),
    edited(
        "P1",
        "the page is made of checks",
        "stackbe/trust/urls.py",
        'path("security", page.security, name="security")',
        'path("security", views.guide, {"name": "security"}, name="security")',
        served=True,
    ),
    edited("P1", "changes are told in a feed", "stackbe/trust/urls.py", 'path("security/feed.atom", page.feed', 'path("security/feed.xml", page.feed', served=True),
    edited("G1", "sign-up is open", "accounts/urls.py", 'path("signup", ', 'path("signup-closed", ', served=True),
)  # fmt: skip
