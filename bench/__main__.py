"""`python -m bench` is the comparison."""

import sys

from bench.run import main

sys.exit(main())
