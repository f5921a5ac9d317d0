"""The demo: broker, hub and simulated stations in one command and one folder. Never part of the hub proper."""
