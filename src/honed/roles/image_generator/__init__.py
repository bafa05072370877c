"""The image generator: the compact painter from scratch, or a pipeline of diffusers by LoRA, drawing from what is retrieved."""
