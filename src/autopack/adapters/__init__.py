"""Proper names: each package here stands for something outside of Autopack."""
