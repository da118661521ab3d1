"""Statistics on arrays: numpy in, numpy out. Nothing here has heard of a language model."""
