"""`python -m model_store`."""

import sys

from model_store.cli import main

sys.exit(main())
