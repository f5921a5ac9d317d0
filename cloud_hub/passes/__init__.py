"""QR passes."""
