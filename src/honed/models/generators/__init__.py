"""Generators: a language model in this process or behind the OpenAI protocol, and the prompt they share."""
