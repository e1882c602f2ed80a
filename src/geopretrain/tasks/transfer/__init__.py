"""Fine-tuning a pre-trained network with few labels."""
