"""`python -m actorkube`."""

from actorkube.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
