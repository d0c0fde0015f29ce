"""The table: every promise of the founding page, and the check that looks whether it is kept."""

from __future__ import annotations

from stackbe.trust.checks import access, api, data, encryption, infrastructure, openness, payments, tokens
from stackbe.trust.checks.shapes import Group, Promise

GROUPS = (
    Group("Encrypt everything", (
        Promise("E1", "TLS 1.2 or newer", "Plain http leads to https; API calls over it are refused.", encryption.in_transit),
        Promise("E2", "HSTS", "One year, with subdomains, ready for preload.", encryption.strict_transport),
        Promise("E3", "Encrypted at rest, AES-256", "Backups are sealed by us before they touch a disk.", encryption.at_rest),
        Promise("E4", "Keys, tokens and sensitive fields encrypted again", "AES-256-GCM under keys of each tenant and person.", encryption.sealed_fields),
    )),
    Group("Minimal access", (
        Promise("A1", "Least privilege; keys scoped per app", "Database roles that see one tenant and change no audit row.", access.least_privilege),
        Promise("A2", "Internal access by role, on record", "Every look of staff is a row in a log that cannot be changed.", access.internal_access),
    )),
    Group("No credit card data", (
        Promise("C1", "No card data, ever", "Every table is searched for it.", payments.no_card_data),
        Promise("C2", "Stripe Checkout on your own account", "Payments go to your Stripe account; we take no share.", payments.own_account),
        Promise("C3", "Stripe's webhooks verified before processing", "Over the raw bytes, within five minutes.", payments.stripe_webhooks),
    )),
    Group("Keys and tokens", (
        Promise("K1", "API keys hashed before storage", "A readable prefix and a keyed hash.", tokens.api_keys),
        Promise("T1", "Session tokens that end soon", "15 minutes at most, EdDSA, keys that rotate.", tokens.session_tokens),
        Promise("T2", "Sign-in links good once, for 15 minutes", "Opening one spends nothing; used ones are deleted.", tokens.sign_in_links),
    )),
    Group("Your data", (
        Promise("D1", "PostgreSQL, automated backups, point-in-time recovery", "A backup a day, a restore drill a week.", data.database),
        Promise("D2", "In the United States; kept while active; deleted on request", "Erased within a day of being asked.", data.region_and_retention),
        Promise("W1", "What is stored, and what is not", "The table below, compared with the database.", data.what_is_stored),
    )),
    Group("API security", (
        Promise("S1", "Credentials and limits on every endpoint", "Failed credentials count too.", api.limits_and_credentials),
        Promise("S2", "CORS per app", "Origins come from the app's settings.", api.cross_origin),
        Promise("S3", "Requests validated and sanitized", "Unknown fields refused, output escaped.", api.validation),
        Promise("S4", "No SQL injection", "Parameters only.", api.injection),
        Promise("S5", "Webhooks with signatures", "Standard Webhooks; verified in four languages.", api.webhook_signatures),
    )),
    Group("Infrastructure", (
        Promise("I1", "Secrets in the environment alone", "None in code, none in the database.", infrastructure.secrets_kept),
        Promise("I2", "Deployed from protected branches; dependencies scanned and updated", "Locked by hash, asked about known vulnerabilities.", infrastructure.supply_chain),
    )),
    Group("In the open", (
        Promise("R1", "Responsible disclosure, answered within 24 hours", "The contact form opens a ticket; real times below.", openness.disclosure),
        Promise("P1", "Practices shown as they are", "This page is made of the checks; changes are mailed and in the feed.", openness.transparency),
        Promise("G1", "Get started free", "From sign-up to a first call in two minutes.", openness.getting_started),
    )),
)  # fmt: skip
PROMISES = {promise.id: promise for group in GROUPS for promise in group.promises}
