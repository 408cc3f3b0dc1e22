"""`python -m entrypoints` is `connections`."""

import gc

from entrypoints.cli import main


def run() -> None:
    """Run `connections` on the arguments of this process."""
    # What is imported stays: Python would look through it for garbage again and again, and once more at its
    # end, which takes a fifth of a short command.
    gc.freeze()
    main(prog_name="connections")


if __name__ == "__main__":
    run()
