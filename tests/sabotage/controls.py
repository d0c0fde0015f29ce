"""All sabotages, by check."""

from __future__ import annotations

from tests.sabotage import discretion, links, people, service, sessions, tenants, webhooks

GROUPS = (links, sessions, discretion, tenants, people, webhooks, service)
SABOTAGES = sorted((s for group in GROUPS for s in group.SABOTAGES), key=lambda s: s.check)
