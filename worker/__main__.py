"""`python -m worker` is `nightread`."""

from worker.cli import main

if __name__ == "__main__":
    main()
