"""``station-agent bench``: how well and how fast faces are told apart, measured on a folder of pictures."""
