"""The stage: a page on which a visitor of the demo plays the world outside the stations. Its own small server."""
