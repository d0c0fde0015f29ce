"""StackBE: sign-in, billing, entitlements, usage and webhooks for the apps of a tenant."""
