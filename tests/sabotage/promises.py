"""For each promise of the trust page, the control behind it taken out: its check must then be red."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.sabotage.shapes import ROOT, Edit

SECRET_KEY = "ofAProductionLikeStartInTheTestsAlone-0123456789-0123456789-0123456789"  # pragma: allowlist secret
VULNERABLE = "{advisories}/vulnerable"


@dataclass(frozen=True, slots=True)
class Undone:
    """A promise, what is taken from under it, and how: by edits, by SQL of the database's superuser, or by a variable.

    `mend` undoes the SQL. `served` says that the pages must be served from the edited copy too.
    """

    promise: str
    removes: str
    edits: tuple[Edit, ...] = ()
    sql: str = ""
    mend: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    served: bool = False

    def applied(self, root=ROOT) -> dict[str, str]:
        """Return each edited file's new content by its path."""
        files: dict[str, str] = {}
        for edit in self.edits:
            files[edit.path] = edit.applied(files.get(edit.path) or (root / edit.path).read_text(encoding="utf-8"))
        return files


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
    edited("E2", "HSTS is a year", "stackbe/settings.py", "SECURE_HSTS_SECONDS = 31_536_000", "SECURE_HSTS_SECONDS = 60", served=True),
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
        "A2",
        "a trigger refuses changes of the audit log",
        sql="alter table kernel_auditevent disable trigger append_only",
        mend="alter table kernel_auditevent enable trigger append_only",
    ),
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
    Undone(
        "W1",
        "there are no passwords",
        sql="alter table accounts_customer add column password_hash text",
        mend="alter table accounts_customer drop column password_hash",
    ),
    edited("S1", "limits are kept", "stackbe/kernel/limits.py", "return Allowance(ok, limit,", "return Allowance(True, limit,"),
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
    edited("S4", "values travel apart", "stackbe/settings.py", '"server_side_binding": True', '"server_side_binding": False'),
    edited(
        "S5",
        "the body is signed",
        "webhooks/signing.py",
        'signed = f"{message_id}.{timestamp}.".encode() + body',
        'signed = f"{message_id}.{timestamp}.".encode()',
    ),
    edited("I1", "no secret is in a file", "docs/architecture.md", "# Architecture\n", f"# Architecture\n\n{SECRET_KEY}\n"),
    Undone("I2", "no locked package is known to be vulnerable", environment={"ADVISORY_URL": VULNERABLE}),
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
    edited("G1", "sign-up is open", "accounts/urls.py", 'path("signup", ', 'path("signup-closed", ', served=True),
)  # fmt: skip
