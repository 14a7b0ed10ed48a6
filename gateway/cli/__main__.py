"""``python -m gateway.cli`` is the same as the console script ``gateway``."""

import sys

from gateway.cli import main

sys.exit(main())
