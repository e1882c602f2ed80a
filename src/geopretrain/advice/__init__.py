"""Whether pre-training is likely to pay: facts of a video and of labelled data, a probe, and measurements."""
