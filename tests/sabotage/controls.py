"""All sabotages, by check."""

from __future__ import annotations

from tests.sabotage import (
    counting,
    discretion,
    edges,
    links,
    log,
    people,
    proofs,
    service,
    sessions,
    staff,
    steps,
    tenants,
    webhooks,
)

GROUPS = (links, sessions, discretion, tenants, people, proofs, webhooks, service, edges, steps, counting, log, staff)
SABOTAGES = sorted((s for group in GROUPS for s in group.SABOTAGES), key=lambda s: s.check)
