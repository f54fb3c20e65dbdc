"""The queue of long commands, in the memory of a store's one supervisor. This imports nothing.

Never decides what a command means: it gives ids back to whoever performs them.
"""
