"""The way to the hub: MQTT, and the pump that empties the outbox."""
