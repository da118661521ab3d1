"""Chat and embedding endpoints over HTTP, and what their tokens cost."""
