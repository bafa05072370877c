"""Pictures from retrieved pictures: a compact model of our own, and any pipeline of diffusers. Needs the extra `images`."""
