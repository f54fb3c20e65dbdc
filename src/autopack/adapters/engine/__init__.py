"""Durable queues of long commands. Import the one you want; this imports nothing.

Never decides what a command means: it gives ids back to whoever performs them.
"""
