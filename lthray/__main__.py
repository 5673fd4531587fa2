"""`python -m lthray` is the command `lthray`."""

import sys

if __name__ == "__main__":
    try:
        from lthray.cli.main import main

        main()
    except ModuleNotFoundError as error:
        # a submitted sweep brings its own code, so nobody may have installed what it needs
        package = (error.name or "").partition(".")[0]
        if package in ("", "lthray"):
            raise
        sys.stderr.write(
            f"lthray: {sys.executable} has no package {package}: install what lthray needs on every node, or let each"
            " job do so with lthray submit --install\n"
        )
        sys.exit(2)
