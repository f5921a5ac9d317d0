"""The pages administrators see."""
