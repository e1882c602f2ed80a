import math

import pytest
import torch

from geopretrain.metrics.embeddings import rank_me


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_embeddings_of_a_training_that_diverged_have_no_rank(value):
    embeddings = torch.rand(6, 3)
    embeddings[2, 1] = value
    assert math.isnan(rank_me(embeddings))
