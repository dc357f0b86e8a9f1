"""`python -m poseserve`."""

import sys

from poseserve.cli import main

sys.exit(main())
