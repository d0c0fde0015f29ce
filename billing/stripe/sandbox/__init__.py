"""Stripe without Stripe: a process of its own that speaks Stripe's HTTP, for development and tests.

The product talks to it through the same SDK, headers and signed webhooks as to Stripe, so
the path that runs here is the one that runs in production. It holds no Django, takes no
card data, binds to loopback only and refuses to start beside a live key.
"""
