"""The page at the door: a local web page for a screen on this very machine. Its threads wait; the control thread never does."""
