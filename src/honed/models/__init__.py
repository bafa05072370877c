"""Models: a spec string becomes an object. Nothing heavy is imported until a model is loaded."""
