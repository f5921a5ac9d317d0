"""Doors, buttons, sensors: each file holds a port, its real backend and its simulated twin."""
