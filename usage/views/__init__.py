"""HTTP in and out of usage and entitlement checks."""
