"""Images and what is known of them: class maps, classes, boxes, masks, depth; whatever their layout."""
