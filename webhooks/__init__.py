"""Events that leave for the app: the outbox, endpoints, signatures, deliveries."""
