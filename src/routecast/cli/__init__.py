"""The command line. A command parses, calls the library, and prints; ``main`` lists them all."""
