"""Forges behind an API."""
