"""The dispatcher: it turns events into deliveries and sends them."""
