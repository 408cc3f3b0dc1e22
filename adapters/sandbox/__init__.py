"""A local stand-in for Nango and the providers' consent pages, over real HTTP.

For `connections dev` and for tests. Nothing of it knows the rest of the house.
"""

from adapters.sandbox.model import Integration
from adapters.sandbox.sandbox import SANDBOX, Sandbox
from adapters.sandbox.server import create_sandbox
from adapters.sandbox.settings import Settings

__all__ = ["SANDBOX", "Integration", "Sandbox", "Settings", "create_sandbox"]
