"""Figures over time, from what stations reported."""
