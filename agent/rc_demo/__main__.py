"""`python3 -m rc_demo`."""

from rc_demo.main import main

raise SystemExit(main())
