"""The signed roster of each station."""
