"""`python -m entrypoints` is `connections`."""

import gc

# What is imported stays: looking for garbage in it, again and again, took a quarter of a start.
gc.disable()
from entrypoints.cli import main  # noqa: E402 - see above

gc.freeze()
gc.enable()


def run() -> None:
    """Run `connections` on the arguments of this process."""
    main(prog_name="connections")


if __name__ == "__main__":
    run()
