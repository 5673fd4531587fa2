"""`python -m lthray` is the command `lthray`."""

from lthray.cli import main

if __name__ == "__main__":
    main()
