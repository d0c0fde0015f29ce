"""The words of the privacy policy and the terms that are no running text.

What is asked of the operator, what stands in the place of what they leave out, and what is held of whom.
"""

from __future__ import annotations

# What only the operator can say, and how it is asked for. The rest has words of ours until they have their own.
WANTED = {
    "name": "who runs this service",
    "address": "their postal address",
    "email": "their e-mail address",
    "since": "the day that this text came into force",
    "law": "the law that applies",
    "courts": "the courts that decide",
}
OURS = {
    "authority": "the data protection authority of the country that you live in, or of ours",
    "fees": "The service costs nothing unless you and we agree on a price in writing.",
    "availability": (
        "We do what we can to keep the service running, and promise no figure unless you and we agree on one in writing."
    ),
    "liability": (
        "We are liable without limit for intent and gross negligence, for harm to life, body and health, and where the law"
        " allows no limit. For slight negligence we are liable for the breach of essential duties alone, and for what was to"
        " be foreseen, at most for what you paid us in the twelve months before. We are not liable for what Stripe or other"
        " services of your own choice do."
    ),
    "transfers": (
        "Whoever uses the service from elsewhere sends data there. Where the law asks for a safeguard (Article 46 GDPR), the"
        " Standard Contractual Clauses of the European Commission are part of the agreement between us and whoever has an"
        " account, and between us and those named above."
    ),
}
HELD = (
    ("Developers", "e-mail address, role in an account", "to sign in, and to write about the account", "contract, Art. 6 (1) b"),
    (
        "Developers",
        "when, from which network address and with which kind of browser they signed in; authenticators and passkeys",
        "to see and end a sign-in that was not theirs",
        "legitimate interest in security, Art. 6 (1) f",
    ),
    (
        "Developers",
        "what they changed in an account, with time and network address (the audit log)",
        "to show who did what",
        "legitimate interest in security, Art. 6 (1) f; records that the law asks for, Art. 6 (1) c",
    ),
    ("Customers of an app", "e-mail address, name, the app's own id for them, what the app adds", "to sign them in to the app", "on behalf of the app, Art. 28"),
    (
        "Customers of an app",
        "sign-ins: time, network address, country, kind of browser; second factors; identities at other services, where the app offers them",
        "to sign them in, and to notice a stranger",
        "on behalf of the app, Art. 28",
    ),
    ("Customers of an app", "plan, status, dates, ids at Stripe", "to know what they may use", "on behalf of the app, Art. 28"),
    (
        "Customers of an app",
        "numbers, dates, amounts and status of invoices",
        "to show what was paid",
        "on behalf of the app, Art. 28; kept without a name where the law asks for it, Art. 6 (1) c",
    ),
    ("Customers of an app", "counts of what they used, by metric and period", "to hold limits and to bill", "on behalf of the app, Art. 28"),
    ("Whoever gets mail from us", "what became of it: sent, refused, bounced", "to send no more where nothing arrives", "legitimate interest, Art. 6 (1) f"),
    ("Whoever writes to us", "name, e-mail address, what they wrote and what we answered", "to answer", "legitimate interest, Art. 6 (1) f"),
    (
        "Everybody who calls",
        "network address, in counts of the rate limits, for a day at most",
        "to keep the service up",
        "legitimate interest, Art. 6 (1) f",
    ),
)  # fmt: skip
