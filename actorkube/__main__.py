"""`python -m actorkube`."""

from actorkube.cli import main

raise SystemExit(main())
