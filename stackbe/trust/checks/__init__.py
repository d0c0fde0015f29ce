"""The promises of the founding page as checks: each acts or observes on this very deployment."""
