"""Autopack lands coding agents' work unattended."""

__version__ = "0.1.0"
