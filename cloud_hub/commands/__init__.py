"""Remote orders."""
