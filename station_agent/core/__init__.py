"""Pure logic: no clock, thread, file, socket, GPIO or numpy in here (held by tests/unit/test_arrows.py)."""
