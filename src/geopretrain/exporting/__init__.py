"""Runs in the formats of others: timm, torchvision, Monodepth2, safetensors, ONNX, torch.export, the hub."""
