"""The only writers of endpoints, events and deliveries, by noun."""
