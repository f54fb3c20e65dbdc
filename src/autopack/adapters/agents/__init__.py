"""Coding agents as builders and auditors."""
