"""Generators: a language model inside this process, a server that speaks the OpenAI protocol, and the prompt they share."""
