"""What keeps the audit log's end where an object store has seen it, and staff's role of the database from writing."""

from __future__ import annotations

from tests.sabotage.shapes import Edit, Sabotage

ACCESS = "stackbe/trust/checks/access.py"
HEADS = "stackbe/trust/heads.py"
OBJECTS = "stackbe/trust/objects.py"
SHELVES = "stackbe/trust/shelves.py"
BUCKET = "trust/test_heads_in_a_bucket.py::"
EACH_DAY = f"{BUCKET}test_each_minute_is_an_object_and_a_day_begins_with_every_tenants_highest_head"
FOUND_OUT = f"{BUCKET}test_a_log_that_was_cut_stays_found_out_however_long_ago_and_whoever_starts_anew"
NEVER_OVER = f"{BUCKET}test_nothing_is_overwritten_and_what_fails_is_said_and_tried_again"
CUT = "trust/test_verify_audit.py::test_a_tail_that_was_cut_and_a_forged_head_are_found"
SIGNED = f"{BUCKET}test_requests_are_signed_as_published"

KEPT = [
    Sabotage(
        "heads-cut-with-the-log",
        23,
        "the log is held against every head that is kept elsewhere",
        (FOUND_OUT, CUT),
        (Edit(HEADS, "            if _holds(heads[number - 1], keys):\n", "            if False:\n"),),
    ),
    Sabotage(
        "heads-that-nobody-signed",
        23,
        "only what was signed can say that the log was cut",
        (CUT,),
        (Edit(HEADS, "            if _holds(heads[number - 1], keys):\n", "            if True:\n"),),
    ),
    Sabotage(
        "heads-out-of-reach-are-green",
        23,
        "heads that cannot be read are said to be unread",
        (NEVER_OVER,),
        (
            Edit(
                ACCESS,
                '        found.not_run(f"The heads that are kept elsewhere could not be read: {failure}")\n',
                "        str(failure)\n",
            ),
        ),
    ),
    Sabotage(
        "yesterdays-heads-forgotten",
        23,
        "a day of heads begins with the highest of every tenant",
        (EACH_DAY,),
        (Edit(SHELVES, "[*([] if begun else highest), *lines]", "list(lines)"),),
    ),
    Sabotage(
        "one-page-of-a-listing",
        23,
        "a listing is read to its end",
        (EACH_DAY,),
        (Edit(OBJECTS, "            if more is None:\n", "            if True:\n"),),
    ),
    Sabotage(
        "refusals-of-the-store-ignored",
        23,
        "what the store refuses is said, and nothing counts as kept",
        (NEVER_OVER,),
        (Edit(OBJECTS, "        if reply.status != HTTPStatus.OK:\n", "        if False:\n"),),
    ),
    Sabotage(
        "content-not-signed",
        23,
        "a request's signature covers its content",
        (SIGNED,),
        (Edit(OBJECTS, "hashlib.sha256(content).hexdigest()\n", 'hashlib.sha256(b"").hexdigest()\n'),),
    ),
]
ROLE = [
    Sabotage(
        "staff-write-in-the-database",
        32,
        "the database's role of staff reads all tenants and writes nothing",
        ("architecture/test_tenancy.py::test_the_staff_role_sees_every_tenants_rows_and_changes_nothing",),
        sql="grant update (staff_role) on accounts_user to stackbe_staff",
    ),
    Sabotage(
        "look-ups-open-to-everybody",
        6,
        "what runs with its owner's rights is called by the roles that it was made for",
        ("architecture/test_tenancy.py::test_what_runs_with_its_owners_rights_is_called_by_named_roles_alone",),
        sql="set role stackbe_lookup; grant execute on function lookup.audit_heads() to public; reset role",
    ),
]
SABOTAGES = [*KEPT, *ROLE]
