"""The server between clients and models: it speaks the APIs of OpenAI and of Anthropic."""
