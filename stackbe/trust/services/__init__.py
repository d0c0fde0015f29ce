"""What is done on the trust page's behalf."""
