"""What stations reported."""
