"""Training of image generators on a user's pictures: the compact painter from scratch, a pipeline of diffusers by LoRA."""
