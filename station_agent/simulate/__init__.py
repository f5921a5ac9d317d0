"""A world to run the agent in: simulated wires, a trace of them, and a socket to move them by."""
