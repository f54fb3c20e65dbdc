"""The durable store: events, projections, requests. Import `open` or `lock`; this imports nothing.

Never decides, never runs a command.
"""
