"""What annotation tools export: one file each."""
