"""What station and hub agree on: configuration, hardware profiles and the wire contract. Imports neither side."""
