"""One turn of the cycle for everything that sees or draws pictures; `loop.tune` is the same for text, read that first."""
