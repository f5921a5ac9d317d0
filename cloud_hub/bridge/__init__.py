"""The bridge: the only process of the hub with a connection to the broker (docs/adr/0006)."""
