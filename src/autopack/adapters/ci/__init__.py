"""Verifiers: CI that runs here, and the environments it runs in."""
