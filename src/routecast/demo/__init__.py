"""The first minute: everything on one machine, with no key."""
