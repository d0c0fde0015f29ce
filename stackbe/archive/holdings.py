"""What becomes of every table when a tenant leaves: does it travel, and what stays when all is erased?

A table that is missing here fails a test that asks the database which tables there are, so that no model
can be forgotten. The order is that in which rows are taken in: owners before what they own.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from django.apps import apps

from stackbe.kernel.fields import Sealed


class Fate(StrEnum):
    """What an erasure of the tenant does to a table's rows."""

    DELETED = "deleted"
    KEPT = "kept"  # append-only, or a receipt: nothing readable is left once the keys are gone
    REDUCED = "reduced"  # what the law keeps, or what that hangs on, emptied of all else


@dataclass(frozen=True, slots=True)
class Holding:
    """A table with a tenant. `stays` says why it does not travel; `only` which of its rows do."""

    table: str
    stays: str = ""
    only: str = ""
    fate: Fate = Fate.DELETED

    @property
    def travels(self) -> bool:
        """True where the archive has a part of it."""
        return not self.stays


SHORT = "Lives for minutes, and its tokens name this instance."
HOLDINGS = (
    Holding("kernel_tenantkey", stays="Travels apart, wrapped under the passphrase: see keys.jsonl."),
    Holding("accounts_membership", stays="Travels apart, with the people's addresses: see members.jsonl."),
    Holding("kernel_subjectkey"),
    Holding("kernel_tenantsecret"),
    Holding("accounts_app", fate=Fate.REDUCED),
    Holding("accounts_applogo"),
    Holding("accounts_signingkey"),
    Holding("accounts_memberinvitation"),
    Holding("apikeys_apikey"),
    Holding("accounts_customer", fate=Fate.REDUCED),
    Holding("accounts_socialprovider"),
    Holding("accounts_customeridentity"),
    Holding("accounts_customertotp"),
    Holding("accounts_customerpasskey"),
    Holding("accounts_customerrecoverycode"),
    Holding("accounts_customersession"),
    Holding("accounts_refreshtoken"),
    Holding("accounts_organization"),
    Holding("accounts_organizationmember"),
    Holding("accounts_organizationinvite"),
    Holding("accounts_erasure", fate=Fate.KEPT),
    Holding("accounts_magiclink", stays=SHORT),
    Holding("accounts_onetimecode", stays=SHORT),
    Holding("accounts_socialattempt", stays=SHORT),
    Holding("accounts_pendingsignin", stays=SHORT),
    Holding("accounts_securityvisit", stays=SHORT),
    Holding("accounts_customerfile", stays="A file on its way in or out; it is dropped within a day."),
    Holding("billing_product"),
    Holding("billing_feature"),
    Holding("billing_plan"),
    Holding("billing_planversion"),
    Holding("billing_price"),
    Holding("billing_coupon"),
    Holding("billing_planmigration"),
    Holding("billing_revenueday"),
    Holding("billing_subscription"),
    Holding("billing_subscriptiontransition"),
    Holding("billing_invoicereference", fate=Fate.REDUCED),
    Holding("billing_access"),
    Holding("billing_defaultaccess"),
    Holding("billing_entitlementoverride"),
    Holding("billing_stripeconnection"),
    Holding("billing_stripeobject"),
    Holding("billing_stripecustomer"),
    Holding("billing_stripeintent"),
    Holding("billing_checkout"),
    Holding("billing_stripeevent"),
    Holding("billing_stripelease", stays="Who may fetch an object just now, for seconds."),
    Holding("usage_metric"),
    Holding("usage_counter"),
    Holding("usage_credit"),
    Holding("usage_credituse"),
    Holding("usage_reservation"),
    Holding("usage_bucket"),
    Holding("usage_crossing", stays="A threshold on its way to becoming an event."),
    Holding("usage_record"),
    Holding("usage_uniquevalue"),
    Holding("webhooks_webhookendpoint"),
    # What is still to be sent is sent from here: two instances would send it twice.
    Holding("webhooks_event", only="fanned_out_at is not null"),
    Holding("webhooks_delivery", only="status <> 'pending'"),
    Holding("webhooks_attempt"),
    Holding("mail_outgoingmail"),
    Holding("mail_bouncedaddress"),
    Holding("kernel_auditevent", fate=Fate.KEPT),
    Holding("kernel_auditseal", fate=Fate.KEPT),
    Holding("trust_chain", stays="What this instance found of its chains.", fate=Fate.KEPT),
    Holding("kernel_idempotencyrecord", stays="Stored replies, which only the caller can open, for a day."),
    Holding("staff_consent", stays="Leave for the staff of this instance."),
    Holding("archive_archive", stays="The archives themselves."),
    Holding("archive_archivepart", stays="The archives themselves."),
)


def sealed_columns() -> dict[str, dict[str, bool]]:
    """Return which columns of which travelling tables are sealed, and whether JSON is inside."""
    travelling = {holding.table for holding in HOLDINGS if holding.travels}
    found: dict[str, dict[str, bool]] = {}
    for model in apps.get_models():
        columns = {str(f.column): f.as_json for f in model._meta.get_fields() if isinstance(f, Sealed)}
        if columns and model._meta.db_table in travelling:
            found[model._meta.db_table] = columns
    return found
