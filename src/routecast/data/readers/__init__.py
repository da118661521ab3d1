"""One file per published format; each turns a source into our contracts."""
