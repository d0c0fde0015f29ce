"""Health, error pages, security.txt, the trust page."""
