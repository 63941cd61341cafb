"""`python -m rc_daemon`: run the daemon until it is told to stop."""

import sys

from rc_daemon.process import main

if __name__ == "__main__":
    sys.exit(main())
