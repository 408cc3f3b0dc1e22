"""Composition: the command line, the processes, and the container."""

import sys

# structlog imports rich wherever it is installed, for tracebacks that are never printed here: 4 MB, and a
# tenth of a start. It takes None for "not installed".
if "structlog" not in sys.modules and "rich" not in sys.modules:
    sys.modules["rich"] = None  # type: ignore[assignment] # documented by Python: import fails at once
    import structlog.dev  # noqa: F401 - imported here to be there

    del sys.modules["rich"]
