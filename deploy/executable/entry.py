"""What the one-file executable runs: ``modelbox``, which says so where a command needs what only an installation has."""

import sys

from modelbox.cli.main import main

if __name__ == "__main__":
    try:
        sys.exit(main())
    except ModuleNotFoundError as error:
        sys.stderr.write(
            f"modelbox: This needs {error.name}, which the one-file executable does not have: run it where modelbox-jupyter is installed.\n"
        )
        sys.exit(1)
