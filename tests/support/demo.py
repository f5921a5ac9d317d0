"""The demo, really running, for the tests."""
