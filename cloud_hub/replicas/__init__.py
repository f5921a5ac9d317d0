"""Sealed templates that the hub carries and cannot open."""
