"""`python -m routecast`: the command line, where `routecast` is not on the path."""

from routecast.cli.main import main

if __name__ == "__main__":
    main()
