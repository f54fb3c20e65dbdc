"""The machine part of the configuration: what this computer offers, and where it keeps things."""

from autopack.settings.database import Server
from autopack.settings.folders import Folders
from autopack.settings.forge import Forge
from autopack.settings.model import ENVIRONMENT_ONLY, USER_ONLY, Agent, Settings
from autopack.settings.notify import Notify
from autopack.settings.sources import Loaded, load, load_for_store, work_tree

__all__ = [
    "ENVIRONMENT_ONLY", "USER_ONLY", "Agent", "Folders", "Forge", "Loaded", "Notify", "Server",
    "Settings", "load", "load_for_store", "work_tree",
]  # fmt: skip
