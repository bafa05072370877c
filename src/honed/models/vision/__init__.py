"""Pictures to descriptors, without torch: EfficientNet-Lite0 by default, CLIP, SigLIP and DINOv2 where torch is there."""
