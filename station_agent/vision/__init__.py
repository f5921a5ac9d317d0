"""From frames to face templates."""
