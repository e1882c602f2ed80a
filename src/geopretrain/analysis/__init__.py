"""What networks have learned, beside their scores: how alike layers see images, and where they look."""
