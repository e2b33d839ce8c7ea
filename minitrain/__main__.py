"""`python -m minitrain`."""

import sys

from minitrain.cli import main

if __name__ == "__main__":
    sys.exit(main())
