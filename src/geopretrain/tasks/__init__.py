"""What is learned: the contract of a task, the registry, pretext methods and transfers."""
