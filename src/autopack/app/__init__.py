"""The verbs: fetch facts, ask the core, obey its answer. Knows ports, never what is behind them."""
