"""One process per station: camera, face entry, door, sensors, durable outbox, MQTT link."""
