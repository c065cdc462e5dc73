"""`python -m nst_numpy` is the command `nst-numpy`."""

import sys

from nst_numpy.cli import main

sys.exit(main())
