"""The frame store: frames decoded once, memory-mapped, with an index; and a teacher's depth beside them."""
